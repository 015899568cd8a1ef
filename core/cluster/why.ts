import { commonTzdata, fits, maxSkewMs } from '#core/decide/placement.ts';
import { explain, type Why, type WhyFacts } from '#core/decide/why.ts';
import { isLate } from '#core/decide/why-late.ts';
import { jobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import type { WorkerView } from '#core/model/worker.ts';
import { type History, HistoryError } from '#core/ports/history.ts';
import { type Entry, prefixRange } from '#core/ports/kv.ts';
import { scheduleOf } from './check-job.ts';
import { decodeJob, type JobStore, notFound } from './job-record.ts';
import { getJob } from './jobs.ts';
import type { Layout } from './keys.ts';
import { readCursor, readOrder, readOwed, readRunning, type Stranger } from './read-key.ts';
import { readMany } from './read-many.ts';
import { listWorkers } from './workers.ts';

/** Keys of a kind that are looked at. */
const mostKeys = 500;

/** Of what was due around a late start so many records are read: instants that it covers are one, and what held it up is the one before. */
const mostAround = 20;

/**
 * The instant (UTC ms) that people mean who name none: the last that was due, or the last that has a record where no schedule says. Refusals
 * `job_not_found`, `instant_missing`.
 */
export async function lastDue(
  store: JobStore,
  history: Pick<History, 'latest'>,
  { group, name }: { group: string; name: string },
): Promise<number> {
  const id = jobId(group, name);
  const seen = await getJob(store, id);
  if (seen === null) throw notFound(id);
  const schedule = scheduleOf(seen.record.job);
  const at =
    schedule === null
      ? ((await history.latest([id])).get(id)?.instant ?? null)
      : schedule.prev(store.now() + 1);
  if (at === null)
    throw new Refusal(
      'instant_missing',
      `instant: ${id} has had none of a schedule yet; only instants of a schedule have a why`,
    );
  return at;
}

/** Gathers what is known about one instant (UTC ms) of a job, and explains it. The store is seen at one revision. */
export async function whyOf(
  store: JobStore,
  history: Pick<History, 'covering' | 'runs'>,
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
  const [kept, workers] = await Promise.all([
    recordsOf(history, { group, name }, instant, (known) => owedFor(layout, owed, instant, known)),
    listWorkers(kv, layout, [], now),
  ]);
  const record = jobs[0] === undefined ? null : decodeJob(layout, jobs[0]).record;
  const cursorsRead = cursors.map((entry) => readCursor(layout, entry));
  const runningRead = running.map((entry) => readRunning(layout, entry));
  return explain({
    ...{ job: id, instant, now, record },
    schedule: record === null ? null : scheduleOf(record.job),
    cursors: cursorsRead.flatMap((read) => (read.ok ? [{ lane: read.lane, ...read.value }] : [])),
    historyAway: kept === null,
    ...(kept ?? { runs: owedFor(layout, owed, instant, []), around: [] }),
    running: runningRead.flatMap((read) => {
      if (!read.ok || read.value.instant !== instant) return [];
      const { worker, state, at, attempt } = read.value;
      return [{ run: read.run, worker, state, at, attempt }];
    }),
    orders: orders.flatMap((entry) => orderOf(layout, entry, instant)),
    workers: record === null ? [] : workersFor(record.job, workers),
    strangers: [...cursorsRead, ...runningRead].filter((read): read is Stranger => !read.ok),
  });
}

/**
 * The records of an instant, and where it started late of what was due until then, which may show what it waited for. Null while History is
 * away: what the store of jobs knows is told then, and that the rest is not known.
 */
async function recordsOf(
  history: Pick<History, 'covering' | 'runs'>,
  job: { group: string; name: string },
  instant: number,
  owedBeside: (known: readonly Run[]) => Run[],
): Promise<Pick<WhyFacts, 'runs' | 'around'> | null> {
  try {
    const known = await history.covering(job.group, job.name, instant);
    const runs = [...owedBeside(known), ...known];
    const [run] = runs;
    if (run === undefined || !isLate(run, instant)) return { runs, around: [] };
    const { items } = await history.runs({ ...job, to: run.startedAt, limit: mostAround });
    return { runs, around: items };
  } catch (error) {
    if (!(error instanceof HistoryError)) throw error;
    return null;
  }
}

/** Records that History does not have yet. */
function owedFor(layout: Layout, entries: readonly Entry[], instant: number, known: readonly Run[]): Run[] {
  return entries.flatMap((entry) => {
    const read = readOwed(layout, entry);
    if (!read.ok) return [];
    const { run } = read;
    const covers = run.instant !== null && run.instant <= instant && instant <= (run.until ?? run.instant);
    return covers && !known.some(({ id }) => id === run.id) ? [run] : [];
  });
}

function orderOf(layout: Layout, entry: Entry, instant: number): WhyFacts['orders'][number][] {
  const read = readOrder(layout, entry);
  if (!read.ok) return [];
  const { kind, by, at, done, next, to } = read.value;
  const waits = !done && next !== null && to !== null && next <= instant && instant <= to;
  return waits ? [{ id: read.id, kind, by, at }] : [];
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
