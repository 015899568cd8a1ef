import { systemClock } from '#core/ports/system-clock.ts';
import { providerFindings } from '#functions/oidc/findings.ts';
import type { Settings } from '../../settings.ts';
import { bad, type Finding, note, ok } from './finding.ts';

/** Whether people can sign in by the provider that the settings of a server here name. */
export async function signInFindings({ oidc }: Pick<Settings, 'oidc'>): Promise<Finding[]> {
  if (oidc === null) return [];
  const found = await providerFindings(oidc, { clock: systemClock(), fetch: globalThis.fetch });
  if (found.length === 0)
    return [ok(`people can sign in by ${oidc.issuer}, as far as can be seen from here`)];
  return found.map(({ level, message }) => (level === 'error' ? bad : note)(message));
}
