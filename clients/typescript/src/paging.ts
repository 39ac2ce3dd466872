/** Lists: which operations have pages, what is on them, and where the next one is. */

import type { paths } from "./schema.js";

type Get<P extends keyof paths> = paths[P] extends { get: infer Operation } ? Operation : never;
type Answer<P extends keyof paths> =
  Get<P> extends { responses: { 200: { content: { "application/json": infer Page } } } } ? Page : never;

/** The items of a list, by its path; never where it is none. */
export type Item<P extends keyof paths> = Answer<P> extends infer Page
  ? Page extends { items: (infer One)[]; next: string | null } | { items: (infer One)[]; pages: number }
    ? One
    : Page extends { data: (infer One)[]; pagination: unknown }
      ? One
      : never
  : never;

/** The paths of all lists. */
export type List = { [P in keyof paths]: [Item<P>] extends [never] ? never : P }[keyof paths];

export type Parameters<P extends keyof paths> = Get<P> extends { parameters: infer All } ? All : never;

/** What a list takes; may be left out where it needs nothing. */
export type Asked<P extends keyof paths> =
  {} extends Parameters<P> ? [init?: { params?: Parameters<P> }] : [init: { params: Parameters<P> }];

export interface Page {
  items?: unknown[];
  data?: unknown[];
  next?: string | null;
  page?: number;
  pages?: number;
  pagination?: { page: number; totalPages: number };
}

/** What to ask for the page after this one; null after the last. A page with `next` may be empty. */
export function after(page: Page): { before: string } | { page: number } | null {
  if (page.next !== undefined) return page.next === null ? null : { before: page.next };
  const { page: number, totalPages } = page.pagination ?? { page: page.page ?? 1, totalPages: page.pages ?? 1 };
  return number < totalPages ? { page: number + 1 } : null;
}
