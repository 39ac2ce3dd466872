/** A hub to ask. `api` has every operation of it by method and path; the methods are what one needs around them. */

import createClient, { type Client } from "openapi-fetch";
import { Stale } from "./errors.js";
import { type Asked, type Item, type List, type Page, after } from "./paging.js";
import type { components, operations, paths } from "./schema.js";
import { type Options, type Tokens, Transport } from "./transport.js";

type Schemas = components["schemas"];
type Body<Name extends keyof operations> =
  operations[Name] extends { requestBody: { content: { "application/json": infer Wanted } } } ? Wanted : never;

/** Document 002's names for what its service takes and gives. */
export type CreateIntegrationDto = Body<"create_config">;
export type UpdateIntegrationDto = Body<"change_config">;
export type IntegrationFilters = NonNullable<operations["list_configs"]["parameters"]["query"]>;
export type IntegrationResponse = Schemas["Wrapped_Integration_"];
export type IntegrationsListResponse = Schemas["WrappedList"];
export type ConnectionTestResponse = Schemas["Wrapped_TestResult_"] | Schemas["Wrapped_JobState_"];
export type IntegrationStatsResponse = Schemas["Wrapped_Statistics_"];

const CONFIG = "/api/integration/configs/{config_id}";
const MOST = 100; // items that the hub puts on a page
const EDITS = 3; // tries to change what others change as well

/** What `api` answers. It throws where the hub does not do what it was asked, so there are data, or nothing to have. */
export async function got<T>(answer: Promise<{ data?: T }>): Promise<Exclude<T, undefined>> {
  return (await answer).data as Exclude<T, undefined>;
}

export class Hilum {
  readonly api: Client<paths>;
  readonly #transport: Transport;

  /** `url`: the hub's address. */
  constructor(url: string, options: Options = {}) {
    const baseUrl = url.replace(/\/+$/, "");
    this.#transport = new Transport(baseUrl, options);
    const headers = { accept: "application/json, */*;q=0.5" };
    this.api = createClient<paths>({ baseUrl, headers, fetch: (request) => this.#transport.send(request) });
  }

  /** With a password; from then on tokens are renewed as needed. Throws Unauthenticated. */
  async signIn(credentials: Schemas["Credentials"]): Promise<void> {
    this.#transport.use(undefined);
    const tokens: Tokens = await got(this.api.POST("/api/v1/auth/token", { body: credentials }));
    this.#transport.use(tokens);
  }

  async signOut(): Promise<void> {
    await this.api.POST("/api/v1/auth/sign-out");
    this.#transport.use(undefined);
  }

  /** Every item of every page of a list. */
  async *each<P extends List>(path: P, ...[init]: Asked<P>): AsyncGenerator<Item<P>, void, undefined> {
    const params = (init?.params ?? {}) as { query?: Record<string, unknown> };
    const given = params.query ?? {};
    const size = "size" in given || "limit" in given ? {} : { [path.startsWith("/api/v1/") ? "size" : "limit"]: MOST };
    for (let place: object | null = {}; place !== null; ) {
      const asked = { params: { ...params, query: { ...size, ...given, ...place } } };
      const page = (await got(this.api.GET(path as never, asked as never))) as Page;
      yield* (page.items ?? page.data ?? []) as Item<P>[];
      place = after(page);
    }
  }

  /** Read, then change what was read: `change` gets it and its ETag. Once more where somebody was faster. */
  async edit<T, R>(
    read: () => Promise<{ data?: T; response: Response }>,
    change: (current: Exclude<T, undefined>, etag: string) => Promise<R>,
  ): Promise<R> {
    for (let left = EDITS - 1; ; left -= 1) {
      const { data, response } = await read();
      try {
        return await change(data as Exclude<T, undefined>, response.headers.get("etag") ?? "");
      } catch (error) {
        if (!(error instanceof Stale) || left === 0) throw error;
      }
    }
  }

  // Document 002's client service, by its names. Answers are in its wrapper: {success, data, message}.

  createIntegration(data: CreateIntegrationDto): Promise<IntegrationResponse> {
    return got(this.api.POST("/api/integration/configs", { body: data }));
  }

  getIntegrations(filters: IntegrationFilters = {}): Promise<IntegrationsListResponse> {
    return got(this.api.GET("/api/integration/configs", { params: { query: filters } }));
  }

  getIntegrationById(id: string): Promise<IntegrationResponse> {
    return got(this.api.GET(CONFIG, { params: { path: { config_id: id } } }));
  }

  /** `ifMatch`: the ETag that was read; without it the newest version is changed, as document 002 has it. */
  updateIntegration(id: string, data: UpdateIntegrationDto, ifMatch = "*"): Promise<IntegrationResponse> {
    const params = { path: { config_id: id }, header: { "If-Match": ifMatch } };
    return got(this.api.PATCH(CONFIG, { params, body: data }));
  }

  deleteIntegration(id: string): Promise<IntegrationResponse> {
    return got(this.api.DELETE(CONFIG, { params: { path: { config_id: id } } }));
  }

  testConnection(id: string): Promise<ConnectionTestResponse> {
    return got(this.api.POST(`${CONFIG}/test`, { params: { path: { config_id: id } } }));
  }

  getStats(): Promise<IntegrationStatsResponse> {
    return got(this.api.GET("/api/integration/stats"));
  }
}
