import { fits } from '#core/decide/placement.ts';
import { instantText, jobId, type RunId, runId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { Refusal, refuse } from '#core/model/refusal.ts';
import type { Op } from '#core/ports/kv.ts';
import { prefixRange } from '#core/ports/kv.ts';
import { scheduleOf } from './check-job.ts';
import type { JobStore, StoredJob } from './jobs.ts';
import { oneLane } from './keys.ts';
import { decode, type OrderValue, WorkerValue } from './records.ts';

/** A manual run that nobody could take by then is missed(expired). */
const runExpiresMs = 600_000;
/** A backfill is refused beyond this many instants: say it in pieces, and see how it goes. */
const backfillMost = 10_000;

export interface Ordered {
  orders: string[];
  runs: RunId[];
}

async function liveWorkers({ kv, layout }: JobStore): Promise<WorkerValue[]> {
  const { entries } = await kv.range(prefixRange(layout.workers));
  return entries.flatMap((entry) => {
    const read = decode(WorkerValue, entry);
    return read.ok && read.value.state === 'live' ? [read.value] : [];
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

/** Puts orders unless they stand already: a repeated request finds its own. */
async function place(
  store: JobStore,
  job: StoredJob,
  orders: { id: string; value: OrderValue }[],
): Promise<void> {
  const { layout, kv } = store;
  const id = jobId(job.record.job.group, job.record.job.name);
  for (const order of orders) {
    const key = layout.order(id, order.id);
    const put: Op = { type: 'put', key, value: JSON.stringify(order.value) };
    const compare = [
      { key, target: 'create' as const, op: '=' as const, revision: '0' },
      { key: layout.job(id), target: 'create' as const, op: '>' as const, revision: '0' },
    ];
    await kv.txn({ compare, then: [put] });
  }
}

/** Orders one run now. `id` is new, or made from the caller's idempotency key. */
export async function orderRun(
  store: JobStore,
  job: StoredJob,
  how: { id: string; env: Record<string, string>; worker: string | null; by: string },
): Promise<Ordered> {
  const spec = job.record.job;
  if (!spec.enabled)
    throw new Refusal(
      'job_disabled',
      `job: ${spec.group}/${spec.name} is disabled; enable it first (a paused job can be run by hand)`,
    );
  const at = store.now();
  const lanes = await lanesOf(store, spec, how.worker);
  const orders = lanes.map(({ lane, worker }) => ({
    id: lane === oneLane ? how.id : `${how.id}~${lane}`,
    value: {
      ...{ kind: 'run' as const, from: null, to: null, next: null, env: how.env, worker },
      ...{ expiresAt: at + runExpiresMs, taken: null, done: false, by: how.by, at },
    },
  }));
  await place(store, job, orders);
  const runs = lanes.map(({ lane }) =>
    runId({
      group: spec.group,
      name: spec.name,
      cause: how.id,
      attempt: 1,
      worker: lane === oneLane ? null : lane,
    }),
  );
  return { orders: orders.map(({ id }) => id), runs };
}

/** Orders a run of each instant in [from, to], one after the other. */
export async function orderBackfill(
  store: JobStore,
  job: StoredJob,
  how: { id: string; from: number; to: number; by: string },
): Promise<{ orders: string[]; count: number; runs: RunId[] }> {
  const spec = job.record.job;
  const schedule = scheduleOf(spec);
  if (!spec.enabled)
    throw new Refusal('job_disabled', `job: ${spec.group}/${spec.name} is disabled; enable it first`);
  if (schedule === null)
    throw new Refusal(
      'schedule_missing',
      `job: ${spec.group}/${spec.name} has no schedule, so there is nothing to backfill`,
    );
  if (how.to < how.from)
    throw refuse('range_invalid', 'to', new Date(how.to).toISOString(), 'a time not before from');
  const count = schedule.count(how.from - 1, how.to, backfillMost + 1);
  if (count > backfillMost)
    throw refuse(
      'range_invalid',
      'to',
      new Date(how.to).toISOString(),
      `at most ${backfillMost} instants in one backfill`,
    );
  const first = schedule.next(how.from - 1);
  if (count === 0 || first === null) return { orders: [], count: 0, runs: [] };
  const at = store.now();
  const lanes = await lanesOf(store, spec, null);
  const orders = lanes.map(({ lane, worker }) => ({
    id: lane === oneLane ? how.id : `${how.id}~${lane}`,
    value: {
      ...{ kind: 'backfill' as const, from: how.from, to: how.to, next: first, env: {}, worker },
      ...{ expiresAt: null, taken: null, done: false, by: how.by, at },
    },
  }));
  await place(store, job, orders);
  const cause = `${how.id}.${instantText(first)}`;
  const runs = lanes.map(({ lane }) =>
    runId({ group: spec.group, name: spec.name, cause, attempt: 1, worker: lane === oneLane ? null : lane }),
  );
  return { orders: orders.map(({ id }) => id), count: count * lanes.length, runs };
}
