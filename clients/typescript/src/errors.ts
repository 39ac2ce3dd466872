/** What a hub answers where it does not do what it was asked: one class a kind, each with the whole envelope. */

export interface Envelope {
  code: string;
  message: string;
  field: string | null;
  details: Record<string, unknown>;
  timestamp: string;
  request_id: string;
}

/** The hub's error. `code` as in INT001, `field` where it is wrong, `requestId` for the hub's log and audit trail. */
export class HilumError extends Error {
  readonly code: string;
  readonly field: string | null;
  readonly details: Record<string, unknown>;
  readonly timestamp: string;
  readonly requestId: string;

  /** `retryAfter`: seconds that the hub asks to wait. */
  constructor(
    readonly status: number,
    about: Partial<Envelope>,
    readonly retryAfter: number | null = null,
  ) {
    super(about.message ?? `the answer was ${status}`);
    this.name = new.target.name;
    this.code = about.code ?? "";
    this.field = about.field ?? null;
    this.details = about.details ?? {};
    this.timestamp = about.timestamp ?? "";
    this.requestId = about.request_id ?? "";
  }
}

/** 400, 413, 414, 415: the request cannot be what it is. */
export class Invalid extends HilumError {}
/** 401: the hub does not know who asks. */
export class Unauthenticated extends HilumError {}
/** 403: not for this caller. */
export class Forbidden extends HilumError {}
/** 404: not there, or not for this caller to see. */
export class NotFound extends HilumError {}
/** 409: what stands there already does not allow it. */
export class Conflict extends HilumError {}
/** 412: somebody changed it in the meantime. Read it again. */
export class Stale extends Conflict {}
/** 422: an Idempotency-Key that was used for another request. */
export class KeyMisused extends HilumError {}
/** 428: changing this needs the ETag that was read, as If-Match. */
export class VersionNeeded extends HilumError {}
/** 429, after all tries: too many requests. `retryAfter` says when to come again. */
export class RateLimited extends HilumError {}
/** 500, 503: the hub could not. */
export class ServerError extends HilumError {}
/** 502, 504: the system behind the hub failed or was too slow. */
export class PartnerFailed extends HilumError {}

/** No answer came. `sent` says whether the hub may have got the request. */
export class HubUnreachable extends HilumError {
  constructor(
    message: string,
    readonly sent: boolean,
  ) {
    super(0, { message });
  }
}

const KINDS: Record<number, typeof HilumError> = {
  400: Invalid, 401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict, 412: Stale, 413: Invalid,
  414: Invalid, 415: Invalid, 422: KeyMisused, 428: VersionNeeded, 429: RateLimited, 500: ServerError,
  502: PartnerFailed, 503: ServerError, 504: PartnerFailed,
};

/** The error that an answer is, also where something between here and the hub made it. */
export async function errorOf(response: Response): Promise<HilumError> {
  let about: Partial<Envelope> = {};
  try {
    const told = (await response.json()) as { error?: unknown };
    if (typeof told.error === "object" && told.error !== null) about = told.error as Partial<Envelope>;
  } catch {
    // no envelope
  }
  const kind = KINDS[response.status] ?? HilumError;
  const request_id = about.request_id ?? response.headers.get("x-request-id") ?? "";
  return new kind(response.status, { ...about, request_id }, seconds(response.headers));
}

/** Retry-After, as seconds or as a date that is compared with the answer's own: clocks may differ. */
function seconds(headers: Headers): number | null {
  const told = headers.get("retry-after") ?? "";
  if (/^\d+$/.test(told)) return Number(told);
  const until = Date.parse(told) - Date.parse(headers.get("date") ?? "");
  return Number.isNaN(until) ? null : Math.max(until / 1000, 0);
}
