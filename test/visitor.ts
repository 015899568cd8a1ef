import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';

/** Where the site of these tests would be; nobody goes there. */
export const redirectUri = 'https://cron.example.com/sign-in';
export const chance = () => randomBytes(32).toString('base64url');

interface Ways {
  authorizationEndpoint: string;
  clientId: string;
  scopes: string;
}

/** A browser as far as a sign-in needs one: it keeps cookies, follows where it is sent, and types a name where it is asked for one. */
export class Visitor {
  readonly #cookies = new Map<string, string>();

  async #get(url: string, init: RequestInit = {}): Promise<Response> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { ...init, redirect: 'manual', headers: { ...init.headers, cookie } });
    for (const one of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(one) ?? [];
      if (value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return answer;
  }

  /** Where the provider sends one back to. */
  async #goes(url: string, name: string): Promise<URLSearchParams> {
    for (let at = url; ; ) {
      if (at.startsWith(redirectUri)) return new URL(at).searchParams;
      let answer = await this.#get(at);
      if (answer.status === 200)
        answer = await this.#get(at, { method: 'POST', body: new URLSearchParams({ name }) });
      const to = answer.headers.get('location');
      assert.ok(to !== null, `${at}: HTTP ${answer.status} ${await answer.text()}`);
      at = new URL(to, at).href;
    }
  }

  /** Goes to the provider as the site would, and comes back: with its answer, and the body that the API redeems it by. */
  async leaves(
    { authorizationEndpoint, clientId, scopes }: Ways,
    name: string,
    more: Record<string, string> = {},
  ) {
    const [verifier, nonce, state] = [chance(), chance(), chance()];
    const to = new URL(authorizationEndpoint);
    for (const [key, value] of Object.entries({
      ...{ response_type: 'code', client_id: clientId, scope: scopes, redirect_uri: redirectUri },
      ...{ code_challenge: createHash('sha256').update(verifier).digest('base64url'), state, nonce },
      ...{ code_challenge_method: 'S256', ...more },
    }))
      to.searchParams.set(key, value);
    const answer = await this.#goes(to.href, name);
    assert.equal(answer.get('state'), state);
    return { answer, body: { code: answer.get('code'), verifier, redirectUri, nonce } };
  }
}
