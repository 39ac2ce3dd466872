/** Answers that the hub need not send again: it is asked each time whether its ETag still holds. */

/** Which are kept: those that the hub allows, all (patients' data too, in memory), or none. */
export type Remember = "allowed" | "all" | "nothing";

const ANSWERS = 256;
const BYTES = 1_000_000;

interface Kept {
  etag: string;
  headers: Headers;
  body: ArrayBuffer;
}

/** In memory alone, of one caller, the oldest unused answer out first. */
export class Cache {
  readonly #kept = new Map<string, Kept>();

  constructor(readonly remember: Remember) {}

  find(key: string): Kept | undefined {
    const found = this.#kept.get(key);
    if (found) {
      this.#kept.delete(key); // and in again, as the newest
      this.#kept.set(key, found);
    }
    return found;
  }

  /** Reads the answer's body; what it returns has it still. */
  async keep(key: string, response: Response): Promise<Response> {
    const etag = response.headers.get("etag");
    const forbidden = this.remember === "allowed" && response.headers.get("cache-control")?.includes("no-store");
    if (!etag || forbidden || this.remember === "nothing" || response.status !== 200) return response;
    const body = await response.clone().arrayBuffer();
    if (body.byteLength > BYTES) return response;
    this.#kept.set(key, { etag, headers: response.headers, body });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= ANSWERS) break;
      this.#kept.delete(oldest);
    }
    return response;
  }

  /** What was kept, as if it had been sent again. */
  static again(kept: Kept, unchanged: Response): Response {
    const headers = new Headers(kept.headers);
    unchanged.headers.forEach((value, name) => headers.set(name, value));
    return new Response(kept.body, { status: 200, headers });
  }

  /** For another caller. */
  clear(): void {
    this.#kept.clear();
  }
}
