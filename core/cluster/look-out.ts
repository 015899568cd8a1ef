import type { WatchedWorker } from '#core/decide/alerts/fleet-alerts.ts';
import { isPaused } from '#core/decide/may-start.ts';
import { type DeadWorker, deadWorkers, type HeldRun, type Overdue, overdueOf } from '#core/decide/overdue.ts';
import { jobId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import type { Run } from '#core/model/run.ts';
import type { WorkerView } from '#core/model/worker.ts';
import type { History } from '#core/ports/history.ts';
import { compareRevisions, type Entry, type Kv, prefixRange, type Revision } from '#core/ports/kv.ts';
import { ChannelValue } from './channels.ts';
import { scheduleOf } from './check-job.ts';
import type { JobStore } from './job-record.ts';
import { oneLane } from './keys.ts';
import { type HeldKey, runOfKey } from './kills.ts';
import { readCursor, readJob, readRunning } from './read-key.ts';
import { decode, TokenValue } from './records.ts';
import { workersFor } from './why.ts';
import { listWorkers } from './workers.ts';

/** What a look at the whole fleet finds. */
export interface LookOut {
  at: number;
  jobs: number;
  /** Revision of the job that was written last; '0' without jobs. */
  newest: Revision;
  /** Workers that take runs. */
  live: number;
  overdue: Overdue[];
  dead: DeadWorker[];
  workers: (WatchedWorker & { version: string; revision: Revision | null })[];
  /** Whether load figures could be had: without them nobody knows who is dead. */
  loadsKnown: boolean;
  /** Jobs that are to run by a schedule, and those of them that no worker fits. */
  scheduled: number;
  unfit: { job: string; why: string }[];
  /** Runs that live, of jobs that say by when they should be through. */
  bounded: { job: Job; run: Run }[];
  /** Keys that can't be read: of a job or a cursor, whose instants nobody can know; of a run, a token, a channel. */
  unreadable: { key: string; problem: string }[];
}

const pageSize = 1_000;
/** Some ms, in which nothing else of this process moves. */
const sliceJobs = 500;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

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
  const known = await history.loads().catch(() => null);
  const loads = known ?? [];
  const workers = await listWorkers(kv, layout, loads, at);
  const registered = workers.filter(({ state }) => state !== 'dead');
  const unreadable: LookOut['unreadable'] = [];
  const records: JobRecord[] = [];
  let newest: Revision = '0';
  await eachOf(kv, layout.jobs, (entry) => {
    if (compareRevisions(entry.mod, newest) > 0) newest = entry.mod;
    const read = readJob(layout, entry);
    if (read.ok) records.push(read.record);
    else unreadable.push({ key: read.key, problem: read.problem });
  });
  const held: (HeldRun & { lane: string; seen: HeldKey })[] = [];
  await eachOf(kv, layout.running, (entry) => {
    const read = readRunning(layout, entry);
    if (!read.ok) {
      unreadable.push({ key: read.key, problem: read.problem });
      return;
    }
    const { job, lane, run, value } = read;
    held.push({
      ...{ job, lane, run, worker: value.worker, at: value.at },
      seen: { run, lane, entry, value },
    });
  });
  const cursors = new Map<string, number>();
  await eachOf(kv, layout.cursors, (entry) => {
    const read = readCursor(layout, entry);
    if (read.ok) cursors.set(`${read.job}/${read.lane}`, read.value.instant);
    else unreadable.push({ key: read.key, problem: read.problem });
  });

  // Both are read by everybody who looks at the whole list, and there passed over in silence.
  for (const [prefix, schema] of [
    [layout.tokens, TokenValue] as const,
    [layout.channels, ChannelValue] as const,
  ])
    await eachOf(kv, prefix, (entry) => {
      const read = decode<typeof TokenValue | typeof ChannelValue>(schema, entry);
      if (!read.ok) unreadable.push({ key: read.key, problem: read.problem });
    });

  const living = new Set(held.map(({ job, lane }) => `${job}/${lane}`));
  const overdue: Overdue[] = [];
  const unfit: LookOut['unfit'] = [];
  let scheduled = 0;
  for (const [n, record] of records.entries()) {
    if (n % sliceJobs === 0) await turn();
    const job = jobId(record.job.group, record.job.name);
    const able = workersFor(record.job, workers);
    const schedule = scheduleOf(record.job);
    if (record.job.enabled && schedule !== null && !isPaused(record.paused, at)) {
      scheduled += 1;
      if (able.every(({ not }) => not !== null))
        unfit.push({ job, why: able.map(({ id, not }) => `${id} ${not ?? ''}`).join('; ') });
    }
    for (const { lane, since, who } of lanesOf(record, able, registered)) {
      // Mode all counts from when its worker came, or from where the job was decided for all.
      const all = cursors.get(`${job}/${oneLane}`) ?? 0;
      const begun = since === null ? null : Math.max(since, all);
      const own = cursors.get(`${job}/${lane}`);
      const from = own !== undefined ? lane : begun === all ? oneLane : null;
      const found = overdueOf({
        ...{ job, lane, record, schedule, cursor: own ?? begun, since, workers: who, now: at },
        cursorKey: from === null ? null : layout.cursor(job, from),
        living: living.has(`${job}/${lane}`),
      });
      if (found !== null) overdue.push(found);
    }
  }
  const bounds = new Map(
    records.flatMap(({ job }) => (job.finishBy === null ? [] : [[jobId(job.group, job.name), job] as const])),
  );
  return {
    ...{ at, jobs: records.length, newest, overdue, unreadable, scheduled, unfit },
    loadsKnown: known !== null,
    workers: workers.map(({ id, state, lastBeat, clockSkewMs, version, revision }) => {
      const load = loads.find((one) => one.id === id);
      const told = { spool: load?.spool ?? null, left: load?.left ?? false };
      return { id, state, lastBeat, clockSkewMs, version, revision, ...told };
    }),
    bounded: held.flatMap(({ job, seen }) => {
      const bound = bounds.get(job);
      return bound === undefined || seen.value.state !== 'claimed'
        ? []
        : [{ job: bound, run: runOfKey(seen) }];
    }),
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
