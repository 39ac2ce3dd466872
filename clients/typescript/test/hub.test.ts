/** Against a served hub, which tests/clients/test_typescript.py starts. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { test } from "node:test";
import {
  type CreateIntegrationDto,
  Forbidden,
  Hilum,
  HubUnreachable,
  Invalid,
  NotFound,
  type Options,
  RateLimited,
  Stale,
  type Tokens,
  Unauthenticated,
  got,
} from "../src/index.js";

function setting(name: string): string {
  const found = process.env[`CLIENT_${name}`];
  assert.ok(found, `CLIENT_${name} is not set`);
  return found;
}

const URL_OF_HUB = setting("HUB");
const KEY = setting("KEY");
const PERSON = { email: setting("EMAIL"), password: setting("PASSWORD") };
const ONE = "/api/v1/integrations/{integration_id}";

/** The way to the hub: what went over it, and how many answers are still to be lost on it. */
class Line {
  went: { method: string; path: string; status: number; key: string | null }[] = [];
  lose = 0;

  fetch: typeof globalThis.fetch = async (input, init) => {
    const response = await globalThis.fetch(input, init);
    const key = new Headers(init?.headers).get("idempotency-key");
    const path = new URL(String(input)).pathname;
    this.went.push({ method: init?.method ?? "GET", path, status: response.status, key });
    if (this.lose > 0) {
      this.lose -= 1;
      throw new TypeError("the answer was lost");
    }
    return response;
  };

  statuses(path: string): number[] {
    return this.went.filter((one) => one.path === path).map((one) => one.status);
  }
}

function connect(options: Options = {}): { hub: Hilum; line: Line } {
  const line = new Line();
  const key = "tokens" in options ? {} : { apiKey: KEY };
  return { line, hub: new Hilum(URL_OF_HUB, { fetch: line.fetch, sleep: async () => {}, ...key, ...options }) };
}

function hook(changes: Partial<CreateIntegrationDto> = {}): CreateIntegrationDto {
  return { name: `Hook ${randomUUID()}`, type: "WEBHOOK", status: "INACTIVE", ...changes };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of items) found.push(one);
  return found;
}

test("the seven names of document 002", async () => {
  const { hub } = connect();
  const endpoint = `${URL_OF_HUB}/health/live`;
  const made = await hub.createIntegration({ name: "Typed", type: "API", provider: "TypeScript", endpoint });
  assert.deepEqual([made.success, made.data.status, made.message], [true, "ACTIVE", "Integration created"]);
  const { id } = made.data;
  assert.deepEqual((await hub.getIntegrationById(id)).data, made.data);
  const found = await hub.getIntegrations({ provider: "TypeScript", limit: 5 });
  assert.deepEqual(found.data.map((one) => one.id), [id]);
  assert.deepEqual(found.pagination, { page: 1, limit: 5, total: 1, totalPages: 1 });
  assert.equal((await hub.updateIntegration(id, { provider: "Other" })).data.provider, "Other");
  const tested = (await hub.testConnection(id)).data;
  assert.ok("overall" in tested); // not: a job that goes on
  assert.equal(tested.overall.success, true);
  assert.ok((await hub.getStats()).data.totalIntegrations >= 2);
  assert.equal((await hub.deleteIntegration(id)).message, "Integration deleted");
  await assert.rejects(hub.getIntegrationById(id), NotFound);
});

test("every item of every page", async () => {
  const { hub, line } = connect();
  const names = Array.from({ length: 101 }, (_, number) => `Typed ${number}`);
  for (const name of names) await hub.createIntegration(hook({ name, provider: "Pages" }));
  const query = { provider: "Pages" };
  const seen = await all(hub.each("/api/v1/integrations", { params: { query } }));
  assert.deepEqual(new Set(seen.map((one) => one.name)), new Set(names));
  assert.deepEqual(line.statuses("/api/v1/integrations"), [200, 200], "a hundred a page");
  const configs = await all(hub.each("/api/integration/configs", { params: { query: { ...query, limit: 60 } } }));
  assert.equal(configs.length, names.length);
  const { hub: admin } = connect({ apiKey: "" });
  await admin.signIn(PERSON);
  const events = await all(admin.each("/api/v1/audit", { params: { query: { action: "integration.create", size: 40 } } }));
  assert.equal(new Set(events.map((one) => one.event["id"])).size, events.length);
  assert.ok(events.length >= names.length);
});

test("errors say what they are", async () => {
  const { hub } = connect();
  const integration_id = randomUUID();
  await assert.rejects(hub.api.GET(ONE, { params: { path: { integration_id } } }), (error) => {
    assert.ok(error instanceof NotFound);
    assert.deepEqual([error.code, error.status, error.name], ["INT001", 404, "NotFound"]);
    assert.match(error.requestId, /^req_/);
    return true;
  });
  const body = { name: "x", type: "API" as const, endpoints: [{ url: "nope" }] };
  await assert.rejects(hub.api.POST("/api/v1/integrations", { body }), (error) => {
    assert.ok(error instanceof Invalid);
    assert.deepEqual([error.code, error.field], ["INT002", "/endpoints/0/url"]);
    assert.ok(error.details["errors"]);
    return true;
  });
  await assert.rejects(all(hub.each("/api/v1/audit")), Forbidden);
  await assert.rejects(connect({ apiKey: "hlm_nobody" }).hub.getStats(), Unauthenticated);
});

test("429 waits as long as it is told to, and not for ever", async () => {
  const [url, apiKey] = [setting("BUSY_HUB"), setting("BUSY_KEY")];
  const impatient = new Hilum(url, { apiKey, waits: { patience: 0.5 } });
  await assert.rejects(
    async () => {
      for (let one = 0; one < 1000; one += 1) await impatient.getStats();
    },
    (error) => {
      assert.ok(error instanceof RateLimited);
      assert.ok(error.retryAfter !== null && error.retryAfter >= 1 && error.retryAfter <= 3);
      return true;
    },
  );
  assert.ok((await new Hilum(url, { apiKey }).getStats()).success, "it waits until it is let in");
});

test("what did not change is not sent again", async () => {
  const { hub, line } = connect();
  for (let one = 0; one < 2; one += 1) {
    const found = await got(hub.api.GET("/api/v1/connectors"));
    assert.ok(found.items.splice(0).length > 0, "what is given is the caller's own");
  }
  assert.deepEqual(line.statuses("/api/v1/connectors"), [200, 304]);
  const made = await hub.createIntegration(hook());
  const params = { path: { integration_id: made.data.id } };
  const path = `/api/v1/integrations/${made.data.id}`;
  for (let one = 0; one < 2; one += 1) await hub.api.GET(ONE, { params });
  assert.deepEqual(line.statuses(path), [200, 200], "the hub said no-store");
  const keeping = connect({ remember: "all" });
  for (let one = 0; one < 2; one += 1) {
    assert.equal((await got(keeping.hub.api.GET(ONE, { params }))).name, made.data.name);
  }
  assert.deepEqual(keeping.line.statuses(path), [200, 304]);
});

test("nobody overwrites what he has not seen", async () => {
  const { hub } = connect();
  const made = await hub.createIntegration(hook());
  const path = { integration_id: made.data.id };
  const read = () => hub.api.GET(ONE, { params: { path } });
  const change = (etag: string, provider: string) =>
    got(hub.api.PATCH(ONE, { params: { path, header: { "If-Match": etag } }, body: { provider } }));
  const etag = (await read()).response.headers.get("etag") ?? "";
  assert.match(etag, /^"v\d+"$/);
  await change(etag, "One");
  await assert.rejects(change(etag, "Two"), Stale);
  await assert.rejects(hub.updateIntegration(made.data.id, { provider: "Two" }, etag), Stale);
  const seen: string[] = [];
  const after = await hub.edit(read, async (current, version) => {
    if (seen.length === 0) await hub.updateIntegration(made.data.id, { description: "theirs" });
    seen.push(version);
    return change(version, `${current.provider}!`);
  });
  assert.equal(new Set(seen).size, 2);
  assert.deepEqual([after.provider, after.description], ["One!", "theirs"]);
});

test("a lost answer changes nothing twice", async () => {
  const { hub, line } = connect();
  const wanted = hook();
  line.lose = 1;
  const made = await hub.createIntegration(wanted);
  const posts = line.went.filter((one) => one.method === "POST");
  assert.deepEqual(posts.map((one) => one.status), [201, 201]);
  assert.ok(posts[0]?.key);
  assert.equal(posts[0].key, posts[1]?.key);
  const found = await hub.getIntegrations({ search: made.data.name });
  assert.equal(found.pagination.total, 1);
});

test("what has no key is not sent again, and who is not there is asked a few times", async () => {
  const { hub, line } = connect({ apiKey: "" });
  line.lose = 1;
  await assert.rejects(hub.signIn(PERSON), (error) => error instanceof HubUnreachable && error.sent);
  assert.equal(line.went.length, 1);
  const waited: number[] = [];
  const nobody = new Hilum("http://127.0.0.1:9", { sleep: async (seconds) => void waited.push(seconds) });
  await assert.rejects(nobody.createIntegration(hook()), HubUnreachable);
});

test("a try ends in time, and a caller may end it", async () => {
  const silent = createServer(() => {});
  await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
  const address = silent.address();
  assert.ok(address && typeof address === "object");
  const hub = new Hilum(`http://127.0.0.1:${address.port}`, { timeout: 0.05, waits: { tries: 1 } });
  try {
    await assert.rejects(hub.getStats(), HubUnreachable);
    const reason = new Error("enough");
    await assert.rejects(hub.api.GET("/api/integration/stats", { signal: AbortSignal.abort(reason) }), reason);
  } finally {
    silent.closeAllConnections();
    silent.close();
  }
});

test("tokens are renewed once for all", async () => {
  const kept: Tokens[] = [];
  const onTokens = (tokens: Tokens) => void kept.push(tokens);
  await connect({ apiKey: "", onTokens }).hub.signIn(PERSON);
  assert.ok(kept[0]);
  const { hub, line } = connect({ tokens: { ...kept[0], access_token: "spent" }, onTokens });
  const answers = await Promise.all(Array.from({ length: 16 }, () => got(hub.api.GET("/api/v1/auth/me"))));
  assert.ok(answers.every((one) => one.name === "tenant_admin"));
  assert.deepEqual(line.statuses("/api/v1/auth/refresh"), [200]);
  assert.equal(kept.length, 2);
  await hub.signOut();
  await assert.rejects(hub.api.GET("/api/v1/auth/me"), Unauthenticated);
});
