import type { Context } from 'hono';
import * as v from 'valibot';
import { mistake, mistakesOf, mistakesRefusal, show } from '#core/cluster/check-job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { repeatedKeys } from './unique-keys.ts';

/** What nests deeper is nobody's job, and would take the stack of whatever walks it. */
const deepest = 64;

/** Parses by a schema; every mistake is named in one refusal of that code. `whole` names the outermost value. */
export function parseBy<S extends v.GenericSchema>(
  schema: S,
  input: unknown,
  code: string,
  whole: string,
): v.InferOutput<S> {
  const read = v.safeParse(schema, input);
  const mistakes = mistakesOf(schema, input, read.issues, whole);
  if (read.success && mistakes.length === 0) return read.output;
  throw mistakesRefusal(code, mistakes);
}

/** The query's parameters, each once, by the schema. Refusal `query_invalid`. */
export function queryOf(c: Context, schema: v.GenericSchema): unknown {
  const { search } = new URL(c.req.url);
  checkEncoded(search, 'query');
  const given = [...new URLSearchParams(search)];
  const twice = given.map(([name]) => name).filter((name, at, names) => names.indexOf(name) !== at);
  if (twice.length > 0)
    throw mistakesRefusal(
      'query_invalid',
      [...new Set(twice)].map((name) => mistake(name, 'several', 'once')),
    );
  return parseBy(schema, Object.fromEntries(given), 'query_invalid', 'query');
}

/** Refusal `query_invalid` for what URLSearchParams would take for something else than was meant. */
export function checkEncoded(text: string, whole: string): void {
  try {
    decodeURIComponent(text);
  } catch {
    // All that it ever throws is that it can't be decoded.
    throw new Refusal('query_invalid', `${whole}: is not percent-encoded UTF-8`);
  }
}

/** The JSON body by the schema; an empty one is `{}`. Refusals `json_invalid`, `media_type_unsupported`, `body_invalid`. */
export async function bodyOf(c: Context, schema: v.GenericSchema): Promise<unknown> {
  const text = await textOf(c);
  if (text.trim() === '') return parseBy(schema, {}, 'body_invalid', 'body');
  expectType(c, ['application/json']);
  return parseBy(schema, parseJson(text), 'body_invalid', 'body');
}

/** Which of these types the body says it has, in UTF-8. Refusal `media_type_unsupported`. */
export function expectType(c: Context, types: readonly string[]): string {
  const [type, ...parameters] = (c.req.header('content-type')?.toLowerCase() ?? '')
    .split(';')
    .map((part) => part.trim());
  const charset = parameters
    .find((one) => one.startsWith('charset='))
    ?.replace(/^charset="?([^"]*)"?$/, '$1');
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8')
    throw new Refusal(
      'media_type_unsupported',
      `Content-Type: charset ${show(charset)} can't be read here; expected utf-8`,
    );
  if (type !== undefined && types.includes(type)) return type;
  throw new Refusal(
    'media_type_unsupported',
    `Content-Type: ${show(type || 'none')} can't be read here; expected ${types.join(' or ')}`,
  );
}

/** The body as text. Refusal `encoding_invalid` where it is not UTF-8, `media_type_unsupported` where it is packed. */
export async function textOf(c: Context): Promise<string> {
  const coding = c.req.header('content-encoding')?.trim().toLowerCase() ?? '';
  if (coding !== '' && coding !== 'identity')
    throw new Refusal(
      'media_type_unsupported',
      `Content-Encoding: ${show(coding)} can't be read here; expected none`,
    );
  const bytes = await c.req.arrayBuffer();
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    // Replacing what can't be read would store something else than was sent.
    throw new Refusal('encoding_invalid', 'body: is not UTF-8');
  }
}

export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Its message may quote what stands around the place, perhaps a secret.
    const said =
      error instanceof Error ? error.message.replace(/, (?:\.\.\.)?".*is not valid JSON$/s, '') : '';
    throw new Refusal('json_invalid', `body: is not JSON: ${said}`);
  }
  checkDepth(value);
  const repeated = repeatedKeys(text);
  if (repeated.length > 0)
    throw mistakesRefusal(
      'json_invalid',
      repeated.map((path) => mistake(path, 'several', 'once')),
    );
  return value;
}

/** Refusal `json_invalid` for what nests too deep, or holds itself (YAML's aliases can). */
export function checkDepth(value: unknown, depth = 0): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth === deepest)
    throw new Refusal('json_invalid', `body: nests too deep; expected at most ${deepest} levels`);
  for (const one of Object.values(value)) checkDepth(one, depth + 1);
}
