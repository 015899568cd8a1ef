import { type Mistake, Refusal } from '#core/model/refusal.ts';

/** The server can't be reached, or can't answer at present: exit code 3. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

type Query = Readonly<Record<string, string | undefined>>;

/** Only the status of who has no token, or while that can't be looked up. */
interface Health {
  status: string;
  version?: string;
  stores?: Record<string, string>;
  /** By store; left out by servers of before. */
  away?: Record<string, { since: string; why: string }>;
}

/** The API under /api/v1. What it refuses is thrown as the Refusal that it was. */
export interface Api {
  url: string;
  get(path: string, query?: Query): Promise<unknown>;
  send(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown, query?: Query): Promise<unknown>;
  /** Every item of a list, page by page. */
  all<T>(path: string, query?: Query): Promise<T[]>;
  /** How it says that it is, whether that is well or not (200 and 503). */
  health(stop: AbortSignal): Promise<Health>;
  /** A body as it is, piece by piece. */
  raw(path: string, accept: string): Promise<Response>;
}

/** `stranger`: what is to be said where the token is not known there; null: what the server says. */
export function apiClient(
  url: string,
  token: string,
  fetcher: typeof fetch,
  stranger: string | null = null,
): Api {
  async function call(
    path: string,
    query: Query,
    init: RequestInit,
    good: (response: Response) => boolean = ({ ok }) => ok,
  ): Promise<Response> {
    const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
    const search = given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
    let response: Response;
    try {
      response = await fetcher(`${url}/api/v1${path}${search}`, {
        ...init,
        headers: { ...init.headers, authorization: `Bearer ${token}` },
      });
    } catch (error) {
      throw new Unreachable(unanswered(url, error));
    }
    if (good(response)) return response;
    if (response.status === 401 && stranger !== null) throw new Refusal('other_server', stranger);
    throw refusalOf(url, response.status, await response.text());
  }
  async function json(response: Promise<Response>): Promise<unknown> {
    const text = await (await response).text();
    try {
      return JSON.parse(text);
    } catch {
      throw new Unreachable(`${url} answers, but not as cronfleet's API; is this the right URL?`);
    }
  }
  const api: Api = {
    url,
    get: (path, query = {}) => json(call(path, query, {})),
    send: (method, path, body, query = {}) =>
      json(
        call(path, query, {
          method,
          ...(body === undefined
            ? {}
            : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        }),
      ),
    async all<T>(path: string, query: Query = {}): Promise<T[]> {
      const items: T[] = [];
      for (let cursor: string | undefined; ; ) {
        const page = (await api.get(path, { ...query, limit: '500', cursor })) as {
          items: T[];
          next: string | null;
        };
        items.push(...page.items);
        if (page.next === null) return items;
        cursor = page.next;
      }
    },
    async health(stop) {
      const healthy = (response: Response) => response.ok || response.status === 503;
      const said = (await json(call('/health', {}, { signal: stop }, healthy))) as Health;
      // A 503 of something in between says nothing of the kind.
      if (typeof said.status !== 'string')
        throw new Unreachable(`${url} answers, but not as cronfleet's API; is this the right URL?`);
      return said;
    },
    raw: (path, accept) => call(path, {}, { headers: { accept } }),
  };
  return api;
}

/** What OpenSSL and Node refuse a certificate for, and what may be done about it. */
const refusedCertificates: Record<string, string> = {
  CERT_HAS_EXPIRED: 'have it renewed, and nginx reloaded',
  CERT_NOT_YET_VALID: "is this machine's clock right?",
  ERR_TLS_CERT_ALTNAME_INVALID: 'ask for the server by a name that the certificate has',
  ...Object.fromEntries(
    [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ].map((code) => [
      code,
      'have this machine trust the authority that made it (update-ca-certificates, or NODE_EXTRA_CA_CERTS=FILE), and nginx send the whole chain',
    ]),
  ),
};

/** Why a request got no answer, and what to do about it. */
function unanswered(url: string, error: unknown): string {
  const { code, message } = causeOf(error);
  const advice = refusedCertificates[code ?? ''];
  if (advice !== undefined) return `${url} shows a certificate that is refused (${message}): ${advice}`;
  const local = /^https?:\/\/(?:127\.|localhost\b|\[::1\])/.test(url);
  return `${url} does not answer (${message}). ${
    local
      ? 'Is it running? Start it with: cronfleet up (npm start)'
      : 'Is this the right URL, is it running, does a firewall stand between?'
  }`;
}

/** undici says only `fetch failed`; its cause says why. */
function causeOf(error: unknown): { code?: string; message: string } {
  if (!(error instanceof Error)) return { message: String(error) };
  const { cause } = error;
  if (cause instanceof AggregateError) return causeOf(cause.errors[0]);
  if (!(cause instanceof Error)) return { message: error.message };
  const { code } = cause as NodeJS.ErrnoException;
  return { ...(code === undefined ? {} : { code }), message: cause.message || cause.name };
}

function refusalOf(url: string, status: number, text: string): Error {
  let said: { code?: unknown; detail?: unknown; errors?: unknown; requestId?: unknown };
  try {
    said = JSON.parse(text);
  } catch {
    // Whatever answered, it was not this API.
    said = {};
  }
  const { code, detail, errors, requestId } = said;
  if (typeof code !== 'string' || typeof detail !== 'string')
    return new Unreachable(
      `${url} answered HTTP ${status} and not as cronfleet's API; is this the right URL?`,
    );
  if (status === 503) return new Unreachable(`${url}: ${detail}`);
  // What stands in front of servers gives no id.
  const id = typeof requestId === 'string' ? ` (${requestId})` : '';
  if (status >= 500) return new Unreachable(`${url} failed: ${detail}${id}`);
  return new Refusal(code, detail, { errors: Array.isArray(errors) ? (errors as Mistake[]) : [] });
}
