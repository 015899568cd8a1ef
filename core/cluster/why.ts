import { commonTzdata, fits, maxSkewMs } from '#core/decide/placement.ts';
import { explain, type Why, type WhyFacts } from '#core/decide/why.ts';
import { jobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import type { Run } from '#core/model/run.ts';
import type { WorkerView } from '#core/model/worker.ts';
import type { History } from '#core/ports/history.ts';
import { type Entry, prefixRange } from '#core/ports/kv.ts';
import { scheduleOf } from './check-job.ts';
import { decodeJob, type JobStore } from './job-record.ts';
import { readMany } from './read-many.ts';
import { CursorValue, decode, OrderValue, OwedValue, RunningValue } from './records.ts';
import { listWorkers } from './workers.ts';

/** Keys of a kind that are looked at. */
const mostKeys = 500;

/** Gathers what is known about one instant (UTC ms) of a job, and explains it. The store is seen at one revision. */
export async function whyOf(
  store: JobStore,
  history: History,
  { group, name }: { group: string; name: string },
  instant: number,
): Promise<Why> {
  const { kv, layout } = store;
  const id = jobId(group, name);
  const [jobs, cursors, running, owed, orders] = (await readMany(
    kv,
    [
      { key: layout.job(id) },
      prefixRange(`${layout.cursors}${id}/`),
      prefixRange(layout.runningJob(id)),
      prefixRange(layout.owing(`${group}~${name}~`)),
      prefixRange(layout.ordersOf(id)),
    ],
    mostKeys,
  )) as [Entry[], Entry[], Entry[], Entry[], Entry[]];
  const now = store.now();
  const [runs, workers] = await Promise.all([
    history.covering(group, name, instant),
    listWorkers(kv, layout, [], now),
  ]);
  const record = jobs[0] === undefined ? null : decodeJob(jobs[0]).record;
  return explain({
    ...{ job: id, instant, now, record },
    schedule: record === null ? null : scheduleOf(record.job),
    cursors: cursors.flatMap((entry) => cursorOf(`${layout.cursors}${id}/`, entry)),
    runs: [...owedFor(owed, instant, runs), ...runs],
    running: running.flatMap((entry) => keyOf(entry, instant)),
    orders: orders.flatMap((entry) => orderOf(layout.ordersOf(id), entry, instant)),
    workers: record === null ? [] : workersFor(record.job, workers),
  });
}

function cursorOf(prefix: string, entry: Entry): WhyFacts['cursors'][number][] {
  const read = decode(CursorValue, entry);
  return read.ok ? [{ lane: entry.key.slice(prefix.length), ...read.value }] : [];
}

/** Records that History does not have yet. */
function owedFor(entries: readonly Entry[], instant: number, known: readonly Run[]): Run[] {
  return entries.flatMap((entry) => {
    const read = decode(OwedValue, entry);
    if (!read.ok) return [];
    // A whole Run was put there: the schema only looks at what makes it one.
    const run = read.value.run as unknown as Run;
    const covers = run.instant !== null && run.instant <= instant && instant <= (run.until ?? run.instant);
    return covers && !known.some(({ id }) => id === run.id) ? [run] : [];
  });
}

function keyOf(entry: Entry, instant: number): WhyFacts['running'][number][] {
  const read = decode(RunningValue, entry);
  if (!read.ok || read.value.instant !== instant) return [];
  const { worker, state, at, attempt } = read.value;
  return [{ run: entry.key.slice(entry.key.lastIndexOf('/') + 1), worker, state, at, attempt }];
}

function orderOf(prefix: string, entry: Entry, instant: number): WhyFacts['orders'][number][] {
  const read = decode(OrderValue, entry);
  if (!read.ok) return [];
  const { kind, by, at, done, next, to } = read.value;
  const waits = !done && next !== null && to !== null && next <= instant && instant <= to;
  return waits ? [{ id: entry.key.slice(prefix.length), kind, by, at }] : [];
}

/** Each registered worker, and why it would not run the job: what `rank` looks at, in words. */
export function workersFor(job: Job, workers: readonly WorkerView[]): WhyFacts['workers'] {
  const registered = workers.filter(({ state }) => state !== 'dead');
  const tzdata = commonTzdata(registered);
  return registered.map((worker) => ({ id: worker.id, not: whyNot(job, worker, tzdata) }));
}

function whyNot(job: Job, worker: WorkerView, tzdata: string): string | null {
  if (!fits(job, worker)) return 'does not fit its target';
  if (worker.state !== 'live') return `is ${worker.state}`;
  const skew = worker.clockSkewMs ?? 0;
  if (Math.abs(skew) > maxSkewMs) return `has a clock that is ${skew} ms off`;
  if (job.timezone !== 'UTC' && worker.tzdata !== tzdata)
    return `has other zone data (${worker.tzdata}) than most (${tzdata})`;
  return null;
}
