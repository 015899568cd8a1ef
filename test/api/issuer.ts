import { createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Clock } from '#core/ports/clock.ts';

const issuer = 'https://id.example.com/realm';

interface Key {
  kid: string;
  alg: 'RS256' | 'ES256' | 'EdDSA';
  secret: KeyObject;
  open: KeyObject;
}

/** A provider that is reached by `fetch` alone, with keys of its own, and as wrong or as far away as a test wants it. */
export function makeIssuer(clock: Clock) {
  let keys: Key[] = [];
  let made = 0;
  const state = {
    /** What it answers with instead of what it should. */
    away: false as boolean | ((path: string) => Response | Promise<Response>),
    metadata: {} as Record<string, unknown>,
    /** Every path asked for. */
    asked: [] as string[],
    /** What the token endpoint was sent. */
    sent: [] as { body: Record<string, string>; authorization: string | null }[],
    /** How the token endpoint answers. */
    tokens: (): { status: number; json: unknown } => ({ status: 400, json: { error: 'invalid_grant' } }),
  };

  function rotate(alg: Key['alg'] = 'RS256'): Key {
    made += 1;
    const pair =
      alg === 'RS256'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : alg === 'ES256'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : generateKeyPairSync('ed25519');
    const key: Key = { kid: `k${made}`, alg, secret: pair.privateKey, open: pair.publicKey };
    keys = [key];
    return key;
  }
  rotate();

  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = () => Math.floor(clock.now() / 1_000);
  const usual = () => ({ iss: issuer, aud: 'cronfleet', sub: 's1', iat: now(), exp: now() + 300 });

  function signed(input: string, { alg, secret }: Key): string {
    if (alg === 'ES256')
      return sign('sha256', Buffer.from(input), { key: secret, dsaEncoding: 'ieee-p1363' }).toString(
        'base64url',
      );
    return sign(alg === 'RS256' ? 'sha256' : null, Buffer.from(input), secret).toString('base64url');
  }

  return {
    issuer,
    state,
    /** Has one key from now on, another one. */
    rotate,
    /** Has one more. */
    add(alg: Key['alg']): Key {
      const before = keys;
      const key = rotate(alg);
      keys = [...before, key];
      return key;
    },
    now,
    /** A token with these claims besides the usual ones; what is undefined is left out. */
    token(
      claims: Record<string, unknown> = {},
      header: Record<string, unknown> = {},
      key = keys.at(-1),
    ): string {
      if (key === undefined) throw new Error('no key');
      const input = `${part({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header })}.${part({ ...usual(), ...claims })}`;
      return `${input}.${signed(input, key)}`;
    },
    /** The classic forgeries. */
    unsigned: (claims: Record<string, unknown> = {}): string =>
      `${part({ alg: 'none' })}.${part({ ...usual(), ...claims })}.`,
    byPublicKey(claims: Record<string, unknown> = {}): string {
      const input = `${part({ alg: 'HS256', kid: keys[0]?.kid, typ: 'JWT' })}.${part({ ...usual(), ...claims })}`;
      const text = keys[0]?.open.export({ type: 'spki', format: 'pem' }) as string;
      return `${input}.${createHmac('sha256', text).update(input).digest('base64url')}`;
    },
    async fetch(url: string | URL | Request, init?: RequestInit): Promise<Response> {
      const path = String(url).slice(issuer.length);
      state.asked.push(path);
      if (typeof state.away === 'function') return await state.away(path);
      if (state.away) throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
      if (path === '/.well-known/openid-configuration')
        return Response.json({
          ...{ issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token` },
          ...{ jwks_uri: `${issuer}/keys`, end_session_endpoint: `${issuer}/out` },
          ...{ revocation_endpoint: `${issuer}/revoke`, ...state.metadata },
        });
      if (path === '/keys')
        return Response.json({
          keys: keys.map(({ open, kid, alg }) => ({
            ...open.export({ format: 'jwk' }),
            kid,
            alg,
            use: 'sig',
          })),
        });
      if (path !== '/token' && path !== '/revoke') return new Response('nothing', { status: 404 });
      state.sent.push({
        body: Object.fromEntries(init?.body as URLSearchParams),
        authorization: new Headers(init?.headers).get('authorization'),
      });
      if (path === '/revoke') return new Response(null, { status: 200 });
      const { status, json } = state.tokens();
      return Response.json(json, { status });
    },
    /** What PKCE makes of a verifier (RFC 7636, 4.2). */
    challenge: (verifier: string): string => createHash('sha256').update(verifier).digest('base64url'),
  };
}
