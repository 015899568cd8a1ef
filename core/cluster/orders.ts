import { fits } from '#core/decide/placement.ts';
import { instantText, type JobId, jobId, type RunId, runId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { Refusal, refuse } from '#core/model/refusal.ts';
import { type Compare, prefixRange } from '#core/ports/kv.ts';
import type { Schedule } from '#core/schedule/schedule.ts';
import { scheduleOf } from './check-job.ts';
import { type JobStore, notFound, type StoredJob } from './job-record.ts';
import { oneLane } from './keys.ts';
import { readOrder, readWorker } from './read-key.ts';
import type { OrderValue, WorkerValue } from './records.ts';

/** A manual run that nobody could take by then is missed(expired). */
const runExpiresMs = 600_000;
/** A backfill is refused beyond this many instants: say it in pieces, and see how it goes. */
const backfillMost = 10_000;

export interface Ordered {
  /** The order's own id, which the ids in `orders` begin with. */
  order: string;
  /** Its keys: one, or in mode all one for each worker, `<order>~<worker>`. */
  orders: string[];
  runs: RunId[];
  /** False: this request was made before, and the answer is the one of then. */
  fresh: boolean;
}

async function liveWorkers({ kv, layout }: JobStore): Promise<WorkerValue[]> {
  const { entries } = await kv.range(prefixRange(layout.workers));
  return entries.flatMap((entry) => {
    const read = readWorker(layout, entry);
    return read.ok && read.record.state === 'live' ? [read.record] : [];
  });
}

/** Which lanes a manual run goes to: one, or that of each live worker that the job fits. */
async function lanesOf(
  store: JobStore,
  job: Job,
  worker: string | null,
): Promise<{ lane: string; worker: string | null }[]> {
  if (job.mode === 'one' && worker === null) return [{ lane: oneLane, worker: null }];
  const live = (await liveWorkers(store)).filter((one) => fits(job, one));
  if (worker !== null) {
    if (!live.some(({ id }) => id === worker))
      throw refuse('worker_unknown', 'worker', worker, 'the id of a live worker that the job fits');
    return [{ lane: job.mode === 'all' ? worker : oneLane, worker }];
  }
  if (live.length === 0)
    throw new Refusal('no_worker', 'no live worker fits this job, and it runs on every one that does');
  return live.map(({ id }) => ({ lane: id, worker: id }));
}

/** The orders that stand under this id: a repeated request finds its own, whatever has changed since. */
async function standing(
  { kv, layout }: JobStore,
  job: JobId,
  id: string,
): Promise<{ id: string; value: OrderValue }[]> {
  const key = layout.order(job, id);
  // `~` is the last of the printable characters: `id` itself and each `id~worker`, and what else begins so.
  const { entries } = await kv.range({ key, end: `${key}\x7f` });
  return entries.flatMap((entry) => {
    const read = readOrder(layout, entry);
    return read.ok && (read.id === id || read.id.startsWith(`${id}~`)) ? [read] : [];
  });
}

/** A request holds at most 128 operations. */
const putsAtOnce = 100;

/**
 * Puts the orders, all of them or none (up to 100), unless a request of the same id was faster: false then. Refusal
 * `job_not_found` where the job has gone meanwhile.
 */
async function place(
  { kv, layout }: JobStore,
  job: JobId,
  orders: readonly { id: string; value: OrderValue }[],
): Promise<boolean> {
  const stands: Compare = { key: layout.job(job), target: 'create', op: '>', revision: '0' };
  for (let from = 0; from < orders.length; from += putsAtOnce) {
    const slice = orders.slice(from, from + putsAtOnce);
    const then = slice.map(({ id, value }) => ({
      type: 'put' as const,
      key: layout.order(job, id),
      value: JSON.stringify(value),
    }));
    const compare: Compare[] = [
      stands,
      ...then.map(({ key }) => ({ key, target: 'create' as const, op: '=' as const, revision: '0' })),
    ];
    const done = await kv.txn({ compare, then, else: [{ type: 'range', key: layout.job(job) }] });
    if (done.succeeded) continue;
    const [seen] = done.results;
    if (seen?.type === 'range' && seen.entries.length === 0) throw notFound(job);
    return false;
  }
  return true;
}

/** What an order runs first. */
function firstRun(job: Job, order: { id: string; value: OrderValue }, first: number | null): RunId {
  const [id = '', worker = null] = order.id.split('~');
  const cause = first === null ? id : `${id}.${instantText(first)}`;
  return runId({ group: job.group, name: job.name, cause, attempt: 1, worker });
}

/** Gives the orders that stand, or places those that `make` says; once for one id, however often it is asked. */
async function orderOnce(
  store: JobStore,
  { record: { job } }: StoredJob,
  id: string,
  make: () => Promise<{ id: string; value: OrderValue }[]>,
): Promise<{ orders: { id: string; value: OrderValue }[]; fresh: boolean }> {
  const key = jobId(job.group, job.name);
  const known = await standing(store, key, id);
  if (known.length > 0) return { orders: known, fresh: false };
  const orders = await make();
  if (await place(store, key, orders)) return { orders, fresh: true };
  return { orders: await standing(store, key, id), fresh: false };
}

function checkEnabled({ enabled, group, name }: Job): void {
  if (!enabled)
    throw new Refusal(
      'job_disabled',
      `job: ${group}/${name} is disabled; enable it first (a paused job can be run by hand)`,
    );
}

/** Orders one run now. `id` is new, or made from the caller's idempotency key: the same id is the same order. */
export async function orderRun(
  store: JobStore,
  job: StoredJob,
  how: { id: string; env: Record<string, string>; worker: string | null; by: string },
): Promise<Ordered> {
  const spec = job.record.job;
  const { orders, fresh } = await orderOnce(store, job, how.id, async () => {
    checkEnabled(spec);
    const at = store.now();
    const lanes = await lanesOf(store, spec, how.worker);
    return lanes.map(({ lane, worker }) => ({
      id: lane === oneLane ? how.id : `${how.id}~${lane}`,
      value: {
        ...{ kind: 'run' as const, from: null, to: null, next: null, env: how.env, worker },
        ...{ expiresAt: at + runExpiresMs, taken: null, done: false, by: how.by, at },
      },
    }));
  });
  const runs = orders.map((order) => firstRun(spec, order, null));
  return { order: how.id, orders: orders.map(({ id }) => id), runs, fresh };
}

/** Orders a run of each instant in [from, to], one after the other. The same id is the same order. */
export async function orderBackfill(
  store: JobStore,
  job: StoredJob,
  how: { id: string; from: number; to: number; by: string },
): Promise<Ordered & { count: number }> {
  const spec = job.record.job;
  const schedule = scheduleOf(spec);
  if (schedule === null)
    throw new Refusal(
      'schedule_missing',
      `job: ${spec.group}/${spec.name} has no schedule, so there is nothing to backfill`,
    );
  const { orders, fresh } = await orderOnce(store, job, how.id, async () => {
    checkEnabled(spec);
    const first = firstOf(schedule, how, store.now());
    if (first === null) return [];
    const at = store.now();
    const lanes = await lanesOf(store, spec, null);
    return lanes.map(({ lane, worker }) => ({
      id: lane === oneLane ? how.id : `${how.id}~${lane}`,
      value: {
        ...{ kind: 'backfill' as const, from: how.from, to: how.to, next: first, env: {}, worker },
        ...{ expiresAt: null, taken: null, done: false, by: how.by, at },
      },
    }));
  });
  const { from, to } = orders[0]?.value ?? how;
  const first = orders.length === 0 ? null : schedule.next((from ?? how.from) - 1);
  const each = first === null ? 0 : schedule.count((from ?? how.from) - 1, to ?? how.to, backfillMost);
  const runs = first === null ? [] : orders.map((order) => firstRun(spec, order, first));
  return { order: how.id, orders: orders.map(({ id }) => id), runs, fresh, count: each * orders.length };
}

/** The first instant to backfill, or null. Refusal `range_invalid`. */
function firstOf(schedule: Schedule, { from, to }: { from: number; to: number }, now: number): number | null {
  const shown = new Date(to).toISOString();
  if (to < from) throw refuse('range_invalid', 'to', shown, 'a time not before from');
  // Claimed now, an instant to come would hold its lane until then, and keep the schedule's own run of it from starting.
  const coming = schedule.next(now);
  if (coming !== null && coming <= to)
    throw refuse(
      'range_invalid',
      'to',
      shown,
      `a time before ${new Date(coming).toISOString()}, which is still to come and runs by itself`,
    );
  if (schedule.count(from - 1, to, backfillMost + 1) > backfillMost)
    throw refuse('range_invalid', 'to', shown, `at most ${backfillMost} instants in one backfill`);
  const first = schedule.next(from - 1);
  return first !== null && first <= to ? first : null;
}
