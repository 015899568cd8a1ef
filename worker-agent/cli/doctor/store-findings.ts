import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import type { Settings } from '../../settings.ts';
import { findingsOf } from '../../tell-findings.ts';
import { bad, type Finding, note, ok } from './finding.ts';

/** Whether these are stores that a whole fleet shares, which can be asked from wherever one is. */
export const areShared = ({ kv, history }: Pick<Settings, 'kv' | 'history'>): boolean =>
  [kv, history].some((url) => url !== null && !/^(sqlite|memory):/.test(url));

/** What the stores are like that the settings of a daemon here name; nothing where they name none. */
export async function storeFindings({ kv, history }: Pick<Settings, 'kv' | 'history'>): Promise<Finding[]> {
  if (!areShared({ kv, history })) return [];
  const found = await findingsOf({ kv, history }, { clock: systemClock(), ids: systemIds(), part: null });
  if (found.length === 0) return [ok('the stores of the settings here are well')];
  return found.map(({ finding: { level, message } }) => (level === 'error' ? bad : note)(message));
}
