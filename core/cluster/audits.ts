import * as v from 'valibot';
import { type AuditEntry, type History, HistoryError } from '#core/ports/history.ts';
import { type Kv, KvError, prefixRange } from '#core/ports/kv.ts';
import type { Layout } from './keys.ts';
import { decode } from './records.ts';

/** So many wait at most: an outage of a day must not fill the store of jobs. */
const mostOwed = 10_000;
const pageEntries = 100;

/** Under audits/<id>: who did what, as History will have it. */
const OwedAudit: v.GenericSchema<unknown, AuditEntry> = v.object({
  ...{ id: v.string(), at: v.pipe(v.number(), v.integer()), who: v.string(), what: v.string() },
  ...{ job: v.nullable(v.string()), target: v.string(), requestId: v.string() },
  ...{ before: v.unknown(), after: v.unknown() },
});

/** Keeps entries that History can't be given, until `payAudits`. KvError `full` where too many wait already. */
export async function oweAudits(kv: Kv, layout: Layout, entries: readonly AuditEntry[]): Promise<void> {
  const { count } = await kv.range(prefixRange(layout.audits), { countOnly: true });
  for (const [at, entry] of entries.entries()) {
    if (count + at >= mostOwed)
      throw new KvError('full', `${mostOwed} entries of the audit wait for the history already`);
    await kv.txn({
      compare: [],
      then: [{ type: 'put', key: layout.audit(entry.id), value: JSON.stringify(entry) }],
    });
  }
}

/** Gives History what it is owed, as far as it takes it; what it never will stays. Any number may do it at once: an entry is known by its id. */
export async function payAudits({
  kv,
  layout,
  history,
}: {
  kv: Kv;
  layout: Layout;
  history: Pick<History, 'addAudit'>;
}): Promise<void> {
  const { key, end } = prefixRange(layout.audits);
  for (let from = key; ; ) {
    const { entries, more } = await kv.range({ key: from, end }, { limit: pageEntries });
    for (const entry of entries) {
      const read = decode(OwedAudit, entry);
      if (!read.ok || !(await taken(history, read.value))) continue;
      await kv.txn({ compare: [], then: [{ type: 'delete', key: entry.key }] });
    }
    const last = entries.at(-1);
    if (!more || last === undefined) return;
    from = `${last.key}\0`;
  }
}

/** False for what it will never take, which holds up nothing behind it. */
async function taken(history: Pick<History, 'addAudit'>, entry: AuditEntry): Promise<boolean> {
  try {
    await history.addAudit(entry);
    return true;
  } catch (error) {
    if (error instanceof HistoryError && error.code === 'unfit') return false;
    throw error;
  }
}
