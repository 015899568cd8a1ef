import type { Context } from 'hono';
import type * as v from 'valibot';
import type { Role } from '#core/cluster/records.ts';
import type { AppDeps, Caller, Env } from './deps.ts';

type Schema = v.GenericSchema;
type Out<S> = S extends Schema ? v.InferOutput<S> : undefined;

/** What a handler gets: parsed, typed, and with the role checked. */
export interface Asked<Q = unknown, B = unknown> {
  c: Context<Env>;
  deps: AppDeps;
  caller: Caller;
  /** Refusals `unauthorized`, `forbidden`: whether the token that was good for this still is, for answers that take their time. */
  stillAllowed(): Promise<void>;
  query: Q;
  body: B;
}
/** What helpers need of it, whatever the route. */
export type Asking = Pick<Asked, 'c' | 'deps' | 'caller'>;

interface Told {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Below /api/v1 unless `root`. */
  path: string;
  root?: boolean;
  role: Role;
  summary: string;
  /** Media types of a body that the route reads by itself, each with its schema for the document. */
  raw?: Readonly<Record<string, Schema>>;
  /** What else than JSON it may answer with: media type and what that is. */
  also?: Readonly<Record<string, string>>;
  /** Request headers that mean something here, and what. */
  headers?: Readonly<Record<string, string>>;
  /** 200 unless said; the first is the usual one. */
  statuses?: readonly number[];
  /** Which problems it may answer with besides those that every route of its form has. */
  refuses?: readonly number[];
}

/** One route of API.md. The application is made from these, and so are its OpenAPI document and the tests of roles and answers. */
export interface Route extends Told {
  query: Schema | null;
  /** Of a JSON body. */
  body: Schema | null;
  answer: Schema | null;
  handle(asked: Asked): Promise<Response>;
}

/** Types a route's handler by its schemas. A route without a role can't be written. */
export function route<Q extends Schema | undefined = undefined, B extends Schema | undefined = undefined>(
  told: Told & {
    query?: Q;
    body?: B;
    answer?: Schema;
    handle(asked: Asked<Out<Q>, Out<B>>): Promise<Response>;
  },
): Route {
  const { query, body, answer, handle, ...rest } = told;
  return {
    ...rest,
    query: query ?? null,
    body: body ?? null,
    answer: answer ?? null,
    handle: (asked) => handle(asked as Asked<Out<Q>, Out<B>>),
  };
}

export function pathOf({ root, path }: Pick<Route, 'root' | 'path'>): string {
  return root ? path : `/api/v1${path}`;
}

/** The statuses of problem answers that a route may give, and documents. */
export function problemStatuses(route: Route): number[] {
  const named = route.path.includes(':');
  const sends = route.body !== null || route.raw !== undefined;
  const found = [
    ...[400, 401, 403, 421, 500, 503],
    ...(named ? [404] : []),
    ...(sends ? [413, 415, 422] : []),
    ...(route.refuses ?? []),
  ];
  return [...new Set(found)].sort((a, b) => a - b);
}
