import type { WorkerRecord } from '#core/model/worker.ts';
import type { Compare, Entry, Kv, LeaseId, Revision } from '#core/ports/kv.ts';
import type { Layout } from './keys.ts';

/** A worker's hold on its id. `incarnation` is the create revision of its registration. */
export interface Registration {
  lease: LeaseId;
  incarnation: Revision;
}

/**
 * Registers a worker under a lease of `ttlMs`. The compare (no such registration) lets one of two agents with one id
 * see the other: then the answer is the registration that stands. `granted` notes the lease down before it is used: should the
 * reply be lost, the next start must know what to take down.
 */
export async function register(
  kv: Kv,
  layout: Layout,
  record: WorkerRecord,
  ttlMs: number,
  granted: (lease: LeaseId) => Promise<void>,
): Promise<{ mine: Registration } | { standing: Entry }> {
  const lease = await kv.grant(ttlMs);
  await granted(lease);
  const key = layout.worker(record.id);
  const answer = await kv.txn({
    compare: [{ key, target: 'create', op: '=', revision: '0' }],
    then: [{ type: 'put', key, value: JSON.stringify(record), lease }],
    else: [{ type: 'range', key }],
  });
  if (answer.succeeded) return { mine: { lease, incarnation: answer.revision } };
  const [seen] = answer.results;
  const standing = seen?.type === 'range' ? seen.entries[0] : undefined;
  // A repeat after a lost reply finds its own first try: same lease, so it is this very registration.
  if (standing?.lease === lease) return { mine: { lease, incarnation: standing.create } };
  await kv.revoke(lease);
  if (standing === undefined) throw new Error(`${key}: refused as standing, but not there`);
  return { standing };
}

/** Writes a changed registration; false: it is not mine any more. */
export async function rewrite(
  kv: Kv,
  layout: Layout,
  record: WorkerRecord,
  mine: Registration,
): Promise<boolean> {
  const key = layout.worker(record.id);
  const answer = await kv.txn({
    compare: [{ key, target: 'create', op: '=', revision: mine.incarnation }],
    then: [{ type: 'put', key, value: JSON.stringify(record), lease: mine.lease }],
  });
  return answer.succeeded;
}

/**
 * Puts the registration under a lease of its own that outlives a planned stop; null: it is not mine any more, or the lease could not be
 * noted down: nobody could take it back then before it runs out.
 */
export async function goAway(
  kv: Kv,
  layout: Layout,
  record: WorkerRecord,
  mine: Registration,
  awayMs: number,
  granted: (lease: LeaseId) => Promise<boolean>,
): Promise<LeaseId | null> {
  const lease = await kv.grant(awayMs);
  if (!(await granted(lease))) {
    await kv.revoke(lease);
    return null;
  }
  const away = { ...record, state: 'away' as const };
  const done = await rewrite(kv, layout, away, { ...mine, lease });
  await kv.revoke(done ? mine.lease : lease);
  return done ? lease : null;
}

/** What every claim is judged on beside its own compares: this is still me, and nobody drains me. */
export function stillMe(layout: Layout, worker: string, incarnation: Revision): Compare[] {
  return [
    { key: layout.worker(worker), target: 'create', op: '=', revision: incarnation },
    { key: layout.drain(worker), target: 'create', op: '=', revision: '0' },
  ];
}

/** What adopting and closing are judged on: this is still me, drained or not. */
export function stillRegistered(layout: Layout, worker: string, incarnation: Revision): Compare[] {
  return [{ key: layout.worker(worker), target: 'create', op: '=', revision: incarnation }];
}
