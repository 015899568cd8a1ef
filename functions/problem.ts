import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { Refusal } from '#core/model/refusal.ts';
import { HistoryError } from '#core/ports/history.ts';
import { KvError } from '#core/ports/kv.ts';

/** Which status a refusal's code means; what is not named here is a value that is not valid (422). */
const statuses: Record<string, ContentfulStatusCode> = {
  unauthorized: 401,
  forbidden: 403,
  host_refused: 421,
  route_not_found: 404,
  job_not_found: 404,
  run_not_found: 404,
  worker_not_found: 404,
  token_not_found: 404,
  channel_not_found: 404,
  method_not_allowed: 405,
  run_ended: 409,
  run_waiting: 409,
  conflict: 409,
  job_unreadable: 409,
  job_disabled: 409,
  no_worker: 409,
  skips_full: 409,
  job_exists: 412,
  revision_conflict: 412,
  body_too_large: 413,
  media_type_unsupported: 415,
  store_full: 413,
  json_invalid: 400,
  encoding_invalid: 400,
  run_id_invalid: 400,
  yaml_invalid: 400,
  query_invalid: 400,
  path_invalid: 400,
  store_unavailable: 503,
  clock_skewed: 503,
  settings_invalid: 503,
  settings_unreadable: 503,
  log_too_large: 413,
};

const titles: Record<number, string> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  412: 'Precondition failed',
  413: 'Content too large',
  415: 'Unsupported media type',
  421: 'Misdirected request',
  422: 'Unprocessable content',
  500: 'Internal server error',
  503: 'Service unavailable',
};

/** RFC 9457 problem details: what API.md promises of every answer that is not the one asked for. */
export function problem(c: Context, refusal: Refusal): Response {
  const status = statuses[refusal.code] ?? 422;
  const headers: Record<string, string> = {};
  if (status === 503) headers['retry-after'] = String(refusal.retryAfter ?? 2);
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  return body(c, status, refusal.code, refusal.message, refusal.errors, headers);
}

function body(
  c: Context,
  status: ContentfulStatusCode,
  code: string,
  detail: string,
  errors: Refusal['errors'],
  headers: Record<string, string>,
): Response {
  const value = {
    ...{
      type: 'about:blank',
      title: titles[status] ?? 'Error',
      status,
      code,
      detail,
      requestId: c.get('requestId'),
    },
    ...(errors.length > 0 ? { errors } : {}),
  };
  for (const [name, text] of Object.entries(headers)) c.header(name, text);
  c.header('cache-control', 'no-store');
  return c.body(JSON.stringify(value), status, { 'content-type': 'application/problem+json' });
}

/** What was thrown, as an answer: a refusal says why, a store that is away says when to come back, a fault tells nothing. */
export function answerError(c: Context, error: unknown, fault: (error: unknown) => void): Response {
  if (error instanceof Refusal) return problem(c, error);
  fault(error);
  const refusal = storeRefusal(error);
  if (refusal !== null) return problem(c, refusal);
  return body(c, 500, 'internal', 'something went wrong here; the log tells more by this requestId', [], {});
}

/** What a store's fault means for who asked; null where it is a fault of our own. */
export function storeRefusal(error: unknown): Refusal | null {
  if (error instanceof HistoryError)
    return new Refusal('store_unavailable', 'the history does not answer at the moment; try again');
  if (!(error instanceof KvError)) return null;
  if (error.code === 'unavailable' || error.code === 'unknown')
    return new Refusal('store_unavailable', 'the store does not answer at the moment; try again');
  if (error.code === 'too_large')
    return new Refusal('store_full', 'this is more than the store takes in one piece; send it in several');
  return null;
}
