// The only file that knows jose, loaded when the first token of a provider comes.
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { Refusal } from '#core/model/refusal.ts';

export type Claims = Readonly<Record<string, unknown>> & { sub: string; exp: number };
export type KeySet = ReturnType<typeof createLocalJWKSet>;

/** Signatures by a private key only: `none` is nobody's, and with HMAC whoever knows the public key could sign. */
export const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
/** A token of another kind (a logout token, say) is no credential, whoever signed it (RFC 8725, 3.11). */
const types = new Set(['jwt', 'at+jwt', 'application/at+jwt']);

/** The keys of a JWKS document; null where it is none. */
export function keySetOf(json: unknown): KeySet | null {
  try {
    return createLocalJWKSet(json as JSONWebKeySet);
  } catch {
    // All that it ever throws is that this is no key set.
    return null;
  }
}

interface Expected {
  keys: KeySet;
  issuer: string;
  audience: string[];
  /** How far the issuer's clock and ours may be apart. */
  leewayS: number;
  /** UTC ms. */
  now: number;
}

/** What a token claims, if it is the issuer's, for us, and of now; `unknown_key` where none of the keys can have signed it. Refusals `unauthorized`, `token_expired`. */
export async function verify(token: string, expected: Expected): Promise<Claims | 'unknown_key'> {
  try {
    return await judge(token, expected.keys, expected);
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return 'unknown_key';
    if (error instanceof errors.JWKSMultipleMatchingKeys) {
      for await (const key of error) {
        const claims = await judge(token, async () => key, expected).catch((other: unknown) => {
          if (other instanceof errors.JWSSignatureVerificationFailed) return null;
          throw refusalOf(other, expected);
        });
        if (claims !== null) return claims;
      }
      return 'unknown_key';
    }
    throw refusalOf(error, expected);
  }
}

async function judge(
  token: string,
  keys: JWTVerifyGetKey,
  { issuer, audience, leewayS, now }: Expected,
): Promise<Claims> {
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    ...{ algorithms, issuer, audience, clockTolerance: leewayS, currentDate: new Date(now) },
    requiredClaims: ['sub', 'exp', 'iat'],
  });
  if (!types.has((protectedHeader.typ ?? 'JWT').toLowerCase()))
    throw no(`is of type ${protectedHeader.typ}, which is no credential`);
  // Bound to a key of its owner's (RFC 7800): who has only the token is not the owner.
  if (payload.cnf !== undefined) throw no('may be used only with a key that was not shown');
  return payload as unknown as Claims;
}

const no = (what: string) => new Refusal('unauthorized', `token: ${what}`);

/** What is wrong with a token, to its holder, who can read it anyway. */
function refusalOf(error: unknown, { issuer, audience, now }: Expected): unknown {
  const clock = new Date(now).toISOString();
  if (error instanceof errors.JWTExpired) {
    const ended = new Date(Number(error.payload.exp) * 1_000);
    return new Refusal(
      'token_expired',
      `token: it ended at ${ended.toISOString()}, and by this server's clock it is ${clock}; sign in again`,
    );
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason, payload } = error;
    if (claim === 'nbf')
      return no(`it begins later than now, which is ${clock} by this server's clock; is a clock wrong?`);
    if (claim === 'iss' && reason === 'check_failed')
      return no(`is of ${JSON.stringify(payload.iss)}; expected ${JSON.stringify(issuer)}, by oidc-issuer`);
    if (claim === 'aud' && reason === 'check_failed')
      return no(
        `is for ${JSON.stringify(payload.aud)}; expected ${audience.join(' or ')}, by oidc-client or oidc-audience`,
      );
    return no(`its claim ${claim} is missing or not valid`);
  }
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported)
    return no(`is not signed in a way that is taken here; expected ${algorithms.join(', ')}`);
  if (error instanceof errors.JOSEError) return no('is not one that its issuer has signed');
  return error;
}
