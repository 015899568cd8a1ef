import type { Context } from 'hono';
import * as v from 'valibot';
import { expectedOf, show } from '#core/cluster/check-job.ts';
import type { Role } from '#core/cluster/records.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';
import type { AppDeps, Caller, Env } from './deps.ts';

type Schema = v.GenericSchema;
type Out<S> = S extends Schema ? v.InferOutput<S> : undefined;

/** What a handler gets: parsed, typed, and with the role checked. */
export interface Asked<Q, B> {
  c: Context<Env>;
  deps: AppDeps;
  caller: Caller;
  query: Q;
  body: B;
}

/** One route of API.md. The application is made from these, and so are its OpenAPI document and the test of its roles. */
export interface Route {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Below /api/v1 unless `root`. */
  path: string;
  root?: boolean;
  role: Role;
  summary: string;
  query: v.GenericSchema | null;
  body: v.GenericSchema | null;
  /** Reads the body by itself, whatever its type. */
  rawBody?: boolean;
  answer: v.GenericSchema | null;
  status: number;
  handle(asked: Asked<unknown, unknown>): Promise<Response>;
}

/** Types a route's handler by its schemas. A route without a role can't be written. */
export function route<
  Q extends Schema | undefined = undefined,
  B extends Schema | undefined = undefined,
>(made: {
  method: Route['method'];
  path: string;
  root?: boolean;
  role: Role;
  summary: string;
  query?: Q;
  body?: B;
  rawBody?: boolean;
  answer?: Schema;
  status?: number;
  handle(asked: Asked<Out<Q>, Out<B>>): Promise<Response>;
}): Route {
  const { query, body, answer, status, handle, ...rest } = made;
  return {
    ...rest,
    query: query ?? null,
    body: body ?? null,
    answer: answer ?? null,
    status: status ?? 200,
    handle: (asked) => handle(asked as Asked<Out<Q>, Out<B>>),
  };
}

/** Parses by a schema; every mistake is named in one refusal of that code. */
export function parseBy<S extends Schema>(
  schema: S,
  input: unknown,
  code: string,
  what: string,
): v.InferOutput<S> {
  const read = v.safeParse(schema, input);
  if (read.success) return read.output;
  const errors: Mistake[] = read.issues.map((issue) => {
    const path = v.getDotPath(issue) ?? what;
    const expected = expectedOf(issue);
    return {
      path,
      message: `${path}: ${show(issue.input)} is not valid; expected ${expected}`,
      value: issue.input,
      expected,
    };
  });
  throw new Refusal(code, errors.map(({ message }) => message).join('; '), { errors });
}

/** The query's parameters; each once. */
export function queryOf(c: Context, schema: Schema | null): unknown {
  const given = c.req.queries();
  const twice = Object.entries(given).filter(([, values]) => values.length > 1);
  if (twice.length > 0)
    throw new Refusal('query_invalid', `query: ${twice.map(([name]) => name).join(', ')}: expected once`);
  const flat = Object.fromEntries(Object.entries(given).map(([name, [value]]) => [name, value]));
  return parseBy(schema ?? v.strictObject({}), flat, 'query_invalid', 'query');
}

/** The JSON body; an empty one is `{}`. */
export async function bodyOf(c: Context, schema: Schema): Promise<unknown> {
  const text = await c.req.text();
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (text.trim() === '') return parseBy(schema, {}, 'body_invalid', 'body');
  if (type !== 'application/json' && !type?.endsWith('+json'))
    throw new Refusal(
      'media_type_unsupported',
      `Content-Type: ${show(type)} can't be read here; expected application/json`,
    );
  return parseBy(schema, parseJson(text), 'body_invalid', 'body');
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal('json_invalid', `body: is not JSON: ${error instanceof Error ? error.message : ''}`);
  }
}
