import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { loadSettings } from '../../settings.ts';
import { findingsOf } from '../../tell-findings.ts';
import type { Context } from '../command.ts';
import { bad, type Finding, note, ok } from './finding.ts';

/** What the stores are like that the settings of a daemon here would name; nothing where they name none. Refusals `settings_invalid`, `settings_unreadable`. */
export async function storeFindings({ text, env }: Context): Promise<Finding[]> {
  const given = { kv: text('kv'), history: text('history'), ssm: text('ssm') };
  const { kv, history } = await loadSettings(given, env, text('config') ?? null);
  const named = [kv, history].filter((url) => url !== null && !/^(sqlite|memory):/.test(url));
  if (named.length === 0) return [];
  const found = await findingsOf({ kv, history }, { clock: systemClock(), ids: systemIds(), part: null });
  if (found.length === 0) return [ok('the stores of the settings here are well')];
  return found.map(({ finding: { level, message } }) => (level === 'error' ? bad : note)(message));
}
