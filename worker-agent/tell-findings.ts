import { Refusal } from '#core/model/refusal.ts';
import type { StoreFinding } from '#core/model/store-finding.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { Ids } from '#core/ports/ids.ts';
import { historyFindings, kvFindings } from '#core/stores/open.ts';

interface Deps {
  clock: Clock;
  ids: Pick<Ids, 'chance'>;
  /** As whom the credential of the store of jobs is to serve; null: whoever. */
  part: 'worker' | 'api' | null;
}

/** What is wrong with the stores of these URLs; what refuses a look at all is a finding too. Never rejects; it may take some 20 s. */
export async function findingsOf(
  { kv, history }: { kv: string | null; history: string | null },
  { clock, ids, part }: Deps,
): Promise<{ store: 'kv' | 'history'; finding: StoreFinding }[]> {
  const [ofKv, ofHistory] = await Promise.all([
    kv === null ? [] : kvFindings(kv, clock, ids, part).catch(asFinding),
    history === null ? [] : historyFindings(history, clock).catch(asFinding),
  ]);
  return [
    ...ofKv.map((finding) => ({ store: 'kv' as const, finding })),
    ...ofHistory.map((finding) => ({ store: 'history' as const, finding })),
  ];
}

/** Says it by events, beside whatever starts: no store that is away holds a start up. */
export async function tellFindings(
  urls: { kv: string | null; history: string | null },
  { events, ...deps }: Deps & { events: Events },
): Promise<void> {
  for (const { store, finding } of await findingsOf(urls, deps)) {
    const { level, code, message } = finding;
    events.emit({ type: 'store.finding', store, severity: level, code, message });
  }
}

function asFinding(error: unknown): StoreFinding[] {
  const code = error instanceof Refusal ? error.code : 'store_unreachable';
  return [{ code, level: 'error', message: error instanceof Error ? error.message : String(error) }];
}
