import * as v from 'valibot';
import { askProvider, providerAway, type Reach } from './ask-provider.ts';
import type { KeySet } from './verify.ts';

const url = v.pipe(v.string(), v.url());
const texts = v.optional(v.array(v.string()));

/** What a provider says of itself (OpenID Connect Discovery 1.0), as far as we ask. */
const Metadata = v.object({
  issuer: v.string(),
  authorization_endpoint: url,
  token_endpoint: url,
  jwks_uri: url,
  end_session_endpoint: v.optional(url),
  revocation_endpoint: v.optional(url),
  scopes_supported: texts,
  code_challenge_methods_supported: texts,
  token_endpoint_auth_methods_supported: texts,
  id_token_signing_alg_values_supported: texts,
});
export type Metadata = v.InferOutput<typeof Metadata>;

function discoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
}

/** Refusal `provider_away` where it is not there, is none, or is another's. */
export async function discover(issuer: string, reach: Reach): Promise<Metadata> {
  const at = discoveryUrl(issuer);
  const { status, json } = await askProvider(reach, at);
  if (status !== 200) throw providerAway(`${at} answers with HTTP ${status}; is oidc-issuer right?`);
  const read = v.safeParse(Metadata, json);
  if (!read.success) {
    const wrong = read.issues.map((issue) => v.getDotPath(issue) ?? 'all of it');
    throw providerAway(
      `${at} is no discovery document: wrong are ${wrong.join(', ')}; is oidc-issuer right?`,
    );
  }
  const found = read.output;
  // To the letter (Discovery 4.3): every token of it says so, too, and nobody else may speak for it.
  if (found.issuer !== issuer)
    throw providerAway(
      `the provider calls itself ${JSON.stringify(found.issuer)}; set oidc-issuer to exactly that, or, where it stands for many (common, {tenantid}), to your own tenant's`,
    );
  if (issuer.startsWith('https:'))
    for (const one of [
      ...[found.authorization_endpoint, found.token_endpoint, found.jwks_uri],
      ...[found.revocation_endpoint, found.end_session_endpoint],
    ])
      if (one !== undefined && !one.startsWith('https:'))
        throw providerAway(`${at} names ${one}; expected https`);
  return found;
}

/** The keys that it signs with. Refusal `provider_away`. */
export async function fetchKeys({ jwks_uri: at }: Metadata, reach: Reach): Promise<KeySet> {
  const { status, json } = await askProvider(reach, at);
  const { keySetOf } = await import('./verify.ts');
  const found = status === 200 ? keySetOf(json) : null;
  if (found === null) throw providerAway(`${at} answers with HTTP ${status} and no set of keys`);
  return found;
}
