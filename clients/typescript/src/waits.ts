/** How often something is tried, and how long to wait in between. */

import { Conflict, type HilumError, HubUnreachable } from "./errors.js";

export interface Waits {
  /** Of one request, the first included. */
  tries: number;
  /** The longest wait, in seconds: where the hub asks for more, the caller is told instead. */
  patience: number;
}

export const USUAL: Waits = { tries: 4, patience: 60 };
const FIRST = 0.5; // seconds, where the hub does not say
const LONGEST = 8;

/** One try that failed. `keyed`: the hub knows a repetition; `unsure`: an earlier try may have been carried out. */
export interface Failure {
  method: string;
  keyed: boolean;
  error: HilumError;
  tried: number;
  unsure: boolean;
}

/** Seconds until the next try; null where there is none. */
export function beforeNext(waits: Waits, failure: Failure): number | null {
  if (failure.tried >= waits.tries || !again(failure)) return null;
  const wait = failure.error.retryAfter ?? Math.random() * Math.min(FIRST * 2 ** failure.tried, LONGEST);
  return wait > waits.patience ? null : wait;
}

/** Whether a repetition helps and does no harm. */
function again({ method, keyed, error, unsure }: Failure): boolean {
  const repeatable = keyed || method === "GET";
  if (error.status === 429) return true; // turned away before anything was done
  if (error instanceof HubUnreachable) return repeatable || !error.sent;
  if (error.status === 503) return repeatable;
  if (error.status === 502 || error.status === 504) return method === "GET";
  return unsure && keyed && error.constructor === Conflict; // the first try is still being worked on
}
