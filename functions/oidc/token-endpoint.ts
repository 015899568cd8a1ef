import * as v from 'valibot';
import { Refusal } from '#core/model/refusal.ts';
import { askProvider, providerAway, type Reach } from './ask-provider.ts';
import type { Metadata } from './discovery.ts';
import type { Provider } from './provider.ts';

const Tokens = v.object({ id_token: v.optional(v.string()), refresh_token: v.optional(v.string()) });
type Tokens = v.InferOutput<typeof Tokens>;
const No = v.object({ error: v.string(), error_description: v.optional(v.string()) });

/** Has the provider give tokens for a code or a refresh token. Refusals `sign_in_refused`, `provider_refused`, `provider_away`. */
export async function tokensFor(
  provider: Provider,
  reach: Reach,
  grant: Readonly<Record<string, string>>,
): Promise<Tokens> {
  const metadata = await provider.metadata();
  const at = metadata.token_endpoint;
  const { status, json } = await askProvider(reach, at, form(provider, metadata, grant));
  const no = v.safeParse(No, json);
  if (no.success) throw refusedBy(no.output);
  const yes = v.safeParse(Tokens, json);
  if (status !== 200 || !yes.success) throw providerAway(`${at} answers with HTTP ${status} and no tokens`);
  return yes.output;
}

/** Has the provider forget a refresh token. Nobody waits long for it, and what can't be reached forgets it by its time. */
export async function revoke(provider: Provider, reach: Reach, token: string): Promise<void> {
  const metadata = await provider.metadata();
  if (metadata.revocation_endpoint === undefined) return;
  const what = { token, token_type_hint: 'refresh_token' };
  await askProvider(reach, metadata.revocation_endpoint, form(provider, metadata, what));
}

/** A form with what says who we are: a secret where there is one, in the way that the provider takes (RFC 6749, 2.3.1). */
function form(
  { settings: { clientId, clientSecret } }: Provider,
  { token_endpoint_auth_methods_supported: ways = [] }: Metadata,
  fields: Readonly<Record<string, string>>,
): RequestInit {
  const inBody =
    clientSecret === null || (ways.includes('client_secret_post') && !ways.includes('client_secret_basic'));
  const body = new URLSearchParams(fields);
  if (inBody) body.set('client_id', clientId);
  if (inBody && clientSecret !== null) body.set('client_secret', clientSecret);
  const pair = [clientId, clientSecret ?? ''].map((part) =>
    new URLSearchParams({ part }).toString().slice(5),
  );
  const headers = inBody ? {} : { authorization: `Basic ${Buffer.from(pair.join(':')).toString('base64')}` };
  return { method: 'POST', headers, body };
}

function refusedBy({ error, error_description: words }: v.InferOutput<typeof No>): Refusal {
  const said = words === undefined ? error : `${error}: ${words}`;
  // The code or session is over: only who signs in can do something about it.
  if (error === 'invalid_grant')
    return new Refusal('sign_in_refused', `sign-in: the provider says ${said}; sign in again`);
  return new Refusal(
    'provider_refused',
    `sign-in: the provider says ${said}; is what it knows of oidc-client, its secret and its redirect URI what is set here?`,
    { retryAfter: 60 },
  );
}
