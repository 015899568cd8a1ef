import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { Refusal } from '#core/model/refusal.ts';
import { HistoryError } from '#core/ports/history.ts';
import { KvError } from '#core/ports/kv.ts';

/** Which status a refusal's code means; what is not named here is a value that is not valid (422). */
const statuses: Record<string, ContentfulStatusCode> = {
  unauthorized: 401,
  token_expired: 401,
  sign_in_refused: 401,
  forbidden: 403,
  no_role: 403,
  host_refused: 421,
  route_not_found: 404,
  sign_in_off: 404,
  job_not_found: 404,
  instant_missing: 404,
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
  channel_in_use: 409,
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
  store_url_invalid: 503,
  store_unreachable: 503,
  store_credential_refused: 503,
  settings_invalid: 503,
  settings_unreadable: 503,
  provider_away: 503,
  provider_refused: 503,
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

interface Problem {
  status: ContentfulStatusCode;
  code: string;
  detail: string;
  errors: Refusal['errors'];
}

/** What a refusal is in RFC 9457's terms. */
function problemOf({ code, message, errors }: Refusal): Problem {
  return { status: statuses[code] ?? 422, code, detail: message, errors };
}

const internal: Problem = {
  ...{ status: 500, code: 'internal', errors: [] },
  detail: 'something went wrong here; the log tells more by this requestId',
};

/** Problem details as API.md promises them of every answer that is not the one asked for. */
function detailsOf(c: Context, { status, code, detail, errors }: Problem): object {
  return {
    ...{ type: 'about:blank', title: titles[status] ?? 'Error', status, code, detail },
    ...{ requestId: c.get('requestId') },
    ...(errors.length > 0 ? { errors } : {}),
  };
}

export function problem(c: Context, refusal: Refusal): Response {
  const what = problemOf(refusal);
  if (what.status === 503) c.header('retry-after', String(refusal.retryAfter ?? 2));
  if (what.status === 401) c.header('www-authenticate', 'Bearer');
  return answer(c, what);
}

function answer(c: Context, what: Problem): Response {
  c.header('cache-control', 'no-store');
  const type = { 'content-type': 'application/problem+json' };
  return c.body(JSON.stringify(detailsOf(c, what)), what.status, type);
}

/** The refusal that was thrown, or that a store's fault means; null for a fault of our own. */
function refusalOf(error: unknown): Refusal | null {
  return error instanceof Refusal ? error : storeRefusal(error);
}

/** What was thrown in the middle of an answer, as a problem's details to be sent in it. */
export function problemDetails(c: Context, error: unknown, fault: (error: unknown) => void): object {
  if (!(error instanceof Refusal)) fault(error);
  const refusal = refusalOf(error);
  return detailsOf(c, refusal === null ? internal : problemOf(refusal));
}

/** What was thrown, as an answer: a refusal says why, a store that is away says when to come back, a fault tells nothing. */
export function answerError(c: Context, error: unknown, fault: (error: unknown) => void): Response {
  if (!(error instanceof Refusal)) fault(error);
  const refusal = refusalOf(error);
  return refusal === null ? answer(c, internal) : problem(c, refusal);
}

/** What a store's fault means for who asked; null where it is a fault of our own. */
export function storeRefusal(error: unknown): Refusal | null {
  if (error instanceof HistoryError)
    return new Refusal('store_unavailable', 'the history does not answer at the moment; try again');
  if (!(error instanceof KvError)) return null;
  if (error.code === 'unavailable' || error.code === 'unknown')
    return new Refusal('store_unavailable', 'the store does not answer at the moment; try again');
  if (error.code === 'full')
    return new Refusal(
      'store_unavailable',
      'the store of jobs is out of space and takes no writes: who looks after etcd has to compact and defragment it and disarm its alarm (cronfleet doctor says how)',
    );
  if (error.code === 'forbidden')
    return new Refusal(
      'store_unavailable',
      'the store of jobs does not let this server do that: its credential lacks a right (its log says where, infra/etcd/roles.sh gives it)',
    );
  if (error.code === 'too_large')
    return new Refusal('store_full', 'this is more than the store takes in one piece; send it in several');
  return null;
}
