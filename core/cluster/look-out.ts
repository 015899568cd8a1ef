import { type DeadWorker, deadWorkers, type HeldRun, type Overdue, overdueOf } from '#core/decide/overdue.ts';
import { jobId } from '#core/model/ids.ts';
import type { JobRecord } from '#core/model/job.ts';
import type { WorkerView } from '#core/model/worker.ts';
import type { History } from '#core/ports/history.ts';
import { type Entry, type Kv, prefixRange } from '#core/ports/kv.ts';
import { scheduleOf } from './check-job.ts';
import type { JobStore } from './job-record.ts';
import { oneLane, splitKey } from './keys.ts';
import { CursorValue, decode, JobValue, RunningValue } from './records.ts';
import { workersFor } from './why.ts';
import { listWorkers } from './workers.ts';

/** What a look at the whole fleet finds. */
export interface LookOut {
  at: number;
  jobs: number;
  /** Workers that take runs. */
  live: number;
  overdue: Overdue[];
  dead: DeadWorker[];
  /** Keys of jobs that can't be read: whose instants nobody can know. */
  unreadable: { key: string; problem: string }[];
}

const pageSize = 1_000;

/**
 * Looks at every job, cursor and living run, decides nothing and writes nothing: the second pair of eyes, which sees most when no worker
 * is alive. What has been decided while it was reading is not mistaken for overdue: cursors are read after the jobs.
 */
export async function lookOut(
  { kv, layout, now }: Pick<JobStore, 'kv' | 'layout' | 'now'>,
  history: Pick<History, 'loads'>,
): Promise<LookOut> {
  const at = now();
  // Load figures only tell when somebody was last heard of: History being away must not blind this.
  const loads = await history.loads().catch(() => []);
  const workers = await listWorkers(kv, layout, loads, at);
  const registered = workers.filter(({ state }) => state !== 'dead');
  const unreadable: LookOut['unreadable'] = [];
  const records: JobRecord[] = [];
  await eachOf(kv, layout.jobs, (entry) => {
    const read = decode(JobValue, entry);
    if (read.ok) records.push(read.value);
    else unreadable.push({ key: read.key, problem: read.problem });
  });
  const held: (HeldRun & { lane: string })[] = [];
  await eachOf(kv, layout.running, (entry) => {
    const split = splitKey(layout.running, entry.key);
    const read = decode(RunningValue, entry);
    const [lane = '', run = ''] = split?.rest ?? [];
    if (split !== null && read.ok)
      held.push({ job: split.job, lane, run, worker: read.value.worker, at: read.value.at });
  });
  const cursors = new Map<string, number>();
  await eachOf(kv, layout.cursors, (entry) => {
    const read = decode(CursorValue, entry);
    if (read.ok) cursors.set(entry.key.slice(layout.cursors.length), read.value.instant);
  });

  const living = new Set(held.map(({ job, lane }) => `${job}/${lane}`));
  const overdue = records.flatMap((record) => {
    const job = jobId(record.job.group, record.job.name);
    const able = workersFor(record.job, workers);
    const schedule = scheduleOf(record.job);
    return lanesOf(record, able, registered).flatMap(({ lane, since, who }) => {
      // Mode all counts from when its worker came, or from where the job was decided for all.
      const begun = since === null ? null : Math.max(since, cursors.get(`${job}/${oneLane}`) ?? 0);
      const cursor = cursors.get(`${job}/${lane}`) ?? begun;
      const found = overdueOf({
        ...{ job, lane, record, schedule, cursor, since, workers: who, now: at },
        living: living.has(`${job}/${lane}`),
      });
      return found === null ? [] : [found];
    });
  });
  return {
    ...{ at, jobs: records.length, overdue, unreadable },
    live: registered.filter(({ state }) => state === 'live').length,
    dead: deadWorkers({
      held,
      registered: new Set(registered.map(({ id }) => id)),
      lastBeats: new Map(loads.map((load) => [load.id, load.at])),
      now: at,
    }),
  };
}

type Who = ReturnType<typeof workersFor>;

/** Who owes a job's instants: one lane for all, or in mode all each worker that is fit for it. */
function lanesOf(
  { job }: JobRecord,
  able: Who,
  workers: readonly WorkerView[],
): { lane: string; since: number | null; who: Who }[] {
  if (job.mode === 'one') return [{ lane: oneLane, since: null, who: able }];
  return able
    .filter(({ not }) => not === null)
    .map((one) => {
      const since = workers.find(({ id }) => id === one.id)?.since ?? null;
      return { lane: one.id, since, who: [one] };
    });
}

async function eachOf(kv: Kv, prefix: string, see: (entry: Entry) => void): Promise<void> {
  const { key, end } = prefixRange(prefix);
  for (let from = key; ; ) {
    const { entries, more } = await kv.range({ key: from, end }, { limit: pageSize });
    for (const entry of entries) see(entry);
    const last = entries.at(-1);
    if (!more || last === undefined) return;
    from = `${last.key}\0`;
  }
}
