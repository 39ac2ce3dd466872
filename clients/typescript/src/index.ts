/** A client of a Hilum hub. `schema.ts` is generated from its OpenAPI document; all else is written by hand. */

export type { Remember } from "./cache.js";
export * from "./errors.js";
export * from "./hub.js";
export type { Item, List } from "./paging.js";
export type { components, operations, paths } from "./schema.js";
export type { Options, Tokens } from "./transport.js";
export type { Waits } from "./waits.js";
