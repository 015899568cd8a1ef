import { Refusal } from '#core/model/refusal.ts';

/** The server can't be reached: exit code 3. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

export interface Api {
  url: string;
  get(path: string, query?: Record<string, string | undefined>): Promise<unknown>;
  send(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<unknown>;
  raw(path: string, accept: string): Promise<Response>;
}

/** Calls the API under /api/v1; what it refuses is thrown as the Refusal that it was. */
export function apiClient(url: string, token: string, fetcher: typeof fetch): Api {
  async function call(path: string, init: RequestInit): Promise<Response> {
    const headers = { ...init.headers, authorization: `Bearer ${token}` };
    let response: Response;
    try {
      response = await fetcher(`${url}/api/v1${path}`, { ...init, headers });
    } catch (error) {
      const why =
        error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new Unreachable(`${url} does not answer (${why}). Is it running? npm start, or: cronfleet up`);
    }
    if (response.ok) return response;
    const text = await response.text();
    throw refusalOf(response.status, text);
  }
  const json = async (response: Promise<Response>): Promise<unknown> => (await response).json();
  return {
    url,
    get(path, query = {}) {
      const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
      const search = new URLSearchParams(given).toString();
      return json(call(search === '' ? path : `${path}?${search}`, {}));
    },
    send(method, path, body, headers = {}) {
      const type = body === undefined ? {} : { 'content-type': 'application/json' };
      return json(
        call(path, {
          method,
          headers: { ...type, ...headers },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      );
    },
    raw: (path, accept) => call(path, { headers: { accept } }),
  };
}

function refusalOf(status: number, text: string): Error {
  try {
    const { code, detail, errors } = JSON.parse(text) as {
      code: string;
      detail: string;
      errors?: Refusal['errors'];
    };
    if (status >= 500 && status !== 503) return new Unreachable(`the server failed: ${detail}`);
    return new Refusal(code, detail, { errors: errors ?? [] });
  } catch {
    // Whatever answered, it was not this API.
    return new Unreachable(`got HTTP ${status} and no answer of cronfleet's; is this the right URL?`);
  }
}
