import { systemClock } from '#core/ports/system-clock.ts';
import { providerFindings } from '#functions/oidc/findings.ts';
import { loadSettings } from '../../settings.ts';
import type { Context } from '../command.ts';
import { bad, type Finding, note, ok } from './finding.ts';

/** Whether people can sign in by the provider that the settings of a server here name. Refusals `settings_invalid`, `settings_unreadable`. */
export async function signInFindings({ text, env }: Context): Promise<Finding[]> {
  const { oidc } = await loadSettings({ ssm: text('ssm') }, env, text('config') ?? null);
  if (oidc === null) return [];
  const found = await providerFindings(oidc, { clock: systemClock(), fetch: globalThis.fetch });
  if (found.length === 0)
    return [ok(`people can sign in by ${oidc.issuer}, as far as can be seen from here`)];
  return found.map(({ level, message }) => (level === 'error' ? bad : note)(message));
}
