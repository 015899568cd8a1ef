import { createHash, timingSafeEqual } from 'node:crypto';
import type { Role, TokenValue } from '#core/cluster/records.ts';
import { getToken, putToken, putTokenIfNone } from '#core/cluster/tokens.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { AppDeps, Caller } from './deps.ts';
import { callerOf } from './oidc/caller-of.ts';
import type { Provider } from './oidc/provider.ts';

/** SHA-256 is enough: the secret has 256 bits of chance, so there is nothing to guess slowly. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

const shape = /^cf_([a-z0-9]{12,64})_([A-Za-z0-9_-]{43})$/;
/** Three parts of base64url, the first of which is a JSON object: a provider's token. */
const jwtShape = /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/;
/** A revoked token works no longer than this on. */
const cacheMs = 5_000;

type TokenDeps = Pick<AppDeps, 'kv' | 'layout' | 'clock' | 'ids'>;

/** Makes a token and gives its text, which is kept nowhere: `cf_<id>_<secret>`. */
export async function createToken(
  { kv, layout, clock, ids }: TokenDeps,
  token: { name: string; role: Role; groups: string[] | null; by: string },
): Promise<{ token: TokenValue; text: string }> {
  const id = ids.id();
  const secret = ids.secret();
  const { name, role, groups, by } = token;
  const value: TokenValue = {
    id,
    name,
    hash: hashOf(secret),
    role,
    groups,
    createdAt: clock.now(),
    createdBy: by,
  };
  await putToken(kv, layout, value);
  return { token: value, text: `cf_${id}_${secret}` };
}

/**
 * Makes the token whose text this is an administrator's, where the store has no token at all: how the first one gets into a store that
 * nobody can reach but the API. `text` is of the shape that `createToken` gives.
 */
export async function takeFirstToken(
  { kv, layout, clock }: Pick<TokenDeps, 'kv' | 'layout' | 'clock'>,
  text: string,
): Promise<void> {
  const [, id = '', secret = ''] = shape.exec(text) ?? [];
  await putTokenIfNone(kv, layout, {
    ...{ id, name: 'first', hash: hashOf(secret), role: 'admin', groups: null },
    ...{ createdAt: clock.now(), createdBy: 'settings' },
  });
}

/**
 * Finds out who asks, by a token of ours or of the provider. Refusals `unauthorized`, which does not tell what of a token of ours was
 * wrong, and of the provider's also `token_expired`, `no_role`, `provider_away`.
 */
export function authenticator(
  { kv, layout, clock }: Pick<AppDeps, 'kv' | 'layout' | 'clock'>,
  providerOfNow: () => Promise<Provider | null> = async () => null,
) {
  const cache = new Map<string, { value: TokenValue; until: number }>();

  async function tokenOf(id: string): Promise<TokenValue | null> {
    const known = cache.get(id);
    if (known !== undefined && clock.boot() < known.until) return known.value;
    const value = await getToken(kv, layout, id);
    cache.delete(id);
    if (value !== null) cache.set(id, { value, until: clock.boot() + cacheMs });
    return value;
  }

  return {
    async caller(header: string | undefined): Promise<Caller> {
      const text = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1] ?? '';
      const provider = jwtShape.test(text) ? await providerOfNow() : null;
      if (provider !== null) return callerOf(await provider.claims(text), provider.settings);
      const [, id, secret] = shape.exec(text) ?? [];
      const value = id === undefined ? null : await tokenOf(id);
      const right =
        value !== null &&
        secret !== undefined &&
        timingSafeEqual(Buffer.from(value.hash, 'hex'), Buffer.from(hashOf(secret), 'hex'));
      if (!right || value === null)
        throw new Refusal(
          'unauthorized',
          'a bearer token that stands is needed: Authorization: Bearer TOKEN',
        );
      return { name: value.name, role: value.role, groups: value.groups };
    },
    /** At once, in this process. */
    forget: (id: string) => cache.delete(id),
  };
}
export type Authenticator = ReturnType<typeof authenticator>;
