/** What goes to the hub and comes back for one request: who asks, how often, what is known already, what went wrong. */

import { Cache, type Remember } from "./cache.js";
import { HilumError, HubUnreachable, Unauthenticated, errorOf } from "./errors.js";
import type { components } from "./schema.js";
import { USUAL, type Waits, beforeNext } from "./waits.js";

export type Tokens = components["schemas"]["Tokens"];

export interface Options {
  apiKey?: string;
  /** Of an earlier sign-in. */
  tokens?: Tokens;
  /** Is told of new ones, to keep them. */
  onTokens?: (tokens: Tokens) => void;
  /** Seconds for one try. */
  timeout?: number;
  waits?: Partial<Waits>;
  remember?: Remember;
  fetch?: typeof globalThis.fetch;
  sleep?: (seconds: number) => Promise<void>;
}

const KEY = "idempotency-key";
const UNKEYED = /\/api\/v1\/(auth|webhooks\/in)\//; // the hub reads no key there
const NEVER_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "UND_ERR_CONNECT_TIMEOUT"]);

export class Transport {
  readonly #options: Options;
  readonly #waits: Waits;
  readonly #cache: Cache;
  #tokens: Tokens | undefined;
  #renewal: Promise<void> | undefined;

  constructor(
    private readonly url: string,
    options: Options,
  ) {
    this.#options = options;
    this.#tokens = options.tokens;
    this.#waits = { ...USUAL, ...options.waits };
    this.#cache = new Cache(options.remember ?? "allowed");
  }

  /** From now on ask with these, or with none; they may be another caller's. */
  use(tokens: Tokens | undefined): void {
    this.#cache.clear();
    this.#adopt(tokens);
  }

  /** In fetch's place. Throws HilumError where the hub does not do what it was asked. */
  async send(request: Request): Promise<Response> {
    const { method, url, signal } = request;
    const headers = new Headers(request.headers);
    const keyed = method !== "GET" && !UNKEYED.test(new URL(url).pathname);
    if (keyed && !headers.has(KEY)) headers.set(KEY, crypto.randomUUID()); // one for all tries
    const body = method === "GET" ? undefined : await request.arrayBuffer();
    const cacheKey = `${url} ${headers.get("x-organization") ?? ""}`;
    let [renewable, unsure] = [!url.startsWith(`${this.url}/api/v1/auth/refresh`), false];
    for (let tried = 1; ; ) {
      const bearer = this.#bearer();
      if (bearer) headers.set("authorization", `Bearer ${bearer}`);
      const kept = method === "GET" ? this.#cache.find(cacheKey) : undefined;
      if (kept) headers.set("if-none-match", kept.etag);
      let error: HilumError;
      try {
        const response = await this.#once(url, { method, headers, ...(body?.byteLength ? { body } : {}) }, signal);
        if (response.status === 304 && kept) return Cache.again(kept, response);
        if (response.ok) return method === "GET" ? await this.#cache.keep(cacheKey, response) : response;
        if (response.status === 401 && renewable && this.#tokens) {
          renewable = false;
          await this.#renew(bearer);
          continue;
        }
        error = await errorOf(response);
      } catch (failure) {
        if (signal.aborted || failure instanceof HilumError) throw failure;
        error = unreachable(failure);
      }
      const wait = beforeNext(this.#waits, { method, keyed, error, tried, unsure });
      if (wait === null) throw error;
      unsure ||= error.status !== 429;
      tried += 1;
      await this.#sleep(wait);
    }
  }

  /** One try, its body included; an event stream goes on after that. */
  async #once(url: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
    const late = new AbortController();
    const seconds = this.#options.timeout ?? 60;
    const timer = setTimeout(() => late.abort(new Error(`nothing within ${seconds} s`)), seconds * 1000);
    try {
      const ask = this.#options.fetch ?? globalThis.fetch;
      // no redirect is followed: the hub sends none, and what shows who asks goes nowhere else
      const response = await ask(url, { ...init, redirect: "error", signal: AbortSignal.any([signal, late.signal]) });
      if (response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
      const { status, statusText, headers } = response;
      const bodiless = status === 204 || status === 304;
      return new Response(bodiless ? null : await response.arrayBuffer(), { status, statusText, headers });
    } finally {
      clearTimeout(timer);
    }
  }

  #bearer(): string {
    return this.#tokens?.access_token ?? this.#options.apiKey ?? "";
  }

  #adopt(tokens: Tokens | undefined): void {
    this.#tokens = tokens;
    if (tokens) this.#options.onTokens?.(tokens);
  }

  /** New tokens for spent ones, once for all who ask at a time: a refresh token holds once. */
  async #renew(spent: string): Promise<void> {
    if (this.#bearer() !== spent) return;
    this.#renewal ??= this.#refresh().finally(() => (this.#renewal = undefined));
    await this.#renewal;
  }

  async #refresh(): Promise<void> {
    if (!this.#tokens) throw new Unauthenticated(401, { message: "nobody has signed in" });
    const body = JSON.stringify({ refresh_token: this.#tokens.refresh_token });
    const headers = { "content-type": "application/json" };
    const asked = new Request(`${this.url}/api/v1/auth/refresh`, { method: "POST", headers, body });
    this.#adopt((await (await this.send(asked)).json()) as Tokens);
  }

  async #sleep(seconds: number): Promise<void> {
    if (this.#options.sleep) return this.#options.sleep(seconds);
    await new Promise((done) => setTimeout(done, seconds * 1000));
  }
}

function unreachable(failure: unknown): HubUnreachable {
  const cause = failure instanceof Error ? (failure.cause as { code?: string } | undefined) : undefined;
  const why = cause?.code ?? (failure instanceof Error ? failure.message : String(failure));
  return new HubUnreachable(`no answer from the hub: ${why}`, !NEVER_SENT.has(cause?.code ?? ""));
}
