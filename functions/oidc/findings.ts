import type { OidcSettings } from '#core/cluster/oidc-settings.ts';
import type { StoreFinding } from '#core/model/store-finding.ts';
import type { Events } from '#core/ports/events.ts';
import type { Reach } from './ask-provider.ts';
import { discover, fetchKeys } from './discovery.ts';

type Finding = Pick<StoreFinding, 'level' | 'message'>;

/** What keeps people from signing in by this provider, as far as it can be seen from here. Never rejects. */
export async function providerFindings(settings: OidcSettings, reach: Reach): Promise<Finding[]> {
  const found: Finding[] = [];
  const add = (level: Finding['level'], message: string) => void found.push({ level, message });
  try {
    const metadata = await discover(settings.issuer, reach);
    const { algorithms } = await import('./verify.ts');
    const signs = metadata.id_token_signing_alg_values_supported;
    if (signs !== undefined && !signs.some((one) => algorithms.includes(one)))
      add(
        'error',
        `sign-in: the provider signs by ${signs.join(', ')}; expected one of ${algorithms.join(', ')}`,
      );
    const challenges = metadata.code_challenge_methods_supported;
    if (challenges !== undefined && !challenges.includes('S256'))
      add(
        'error',
        `sign-in: the provider knows PKCE by ${challenges.join(', ') || 'nothing'}; expected S256`,
      );
    const scopes = metadata.scopes_supported;
    const unknown = settings.scopes.split(' ').filter((one) => scopes !== undefined && !scopes.includes(one));
    if (unknown.length > 0)
      add('warning', `sign-in: the provider does not list the scope ${unknown.join(', ')} of oidc-scopes`);
    await fetchKeys(metadata, reach);
  } catch (error) {
    add('error', error instanceof Error ? error.message : String(error));
  }
  return found;
}

/** Says it by events, beside whatever starts: tokens of ours work without a provider. */
export async function tellProvider(
  settings: OidcSettings | null,
  { events, ...reach }: Reach & { events: Events },
): Promise<void> {
  if (settings === null) return;
  for (const { level, message } of await providerFindings(settings, reach))
    events.emit({ type: 'provider.finding', severity: level, message });
}
