import { isPaused } from '#core/decide/may-start.ts';
import { durationMs } from '#core/model/duration.ts';
import { instantText, type JobId, jobId, type RunId, runId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun, isTerminal, type Run } from '#core/model/run.ts';
import type { History } from '#core/ports/history.ts';
import { type Compare, type Entry, type Op, prefixRange } from '#core/ports/kv.ts';
import { scheduleOf } from './check-job.ts';
import type { JobStore } from './job-record.ts';
import { oneLane, splitKey } from './keys.ts';
import {
  CursorValue,
  decode,
  encodeJob,
  JobValue,
  OrderValue,
  RunningValue,
  WorkerValue,
} from './records.ts';

/** What was done to a restored store before anybody may work on it. */
export interface AfterRestore {
  /** Jobs whose instants count from now on. */
  jobs: number;
  /** Stretches of instants that nobody decided, now recorded as missed. */
  missed: number;
  /** Orders that had something left to run in the backup: whether that has run since nobody knows. */
  orders: { job: JobId; order: string; kind: OrderValue['kind']; next: number | null }[];
  /** Attempts that waited in the backup, and runs that have ended since. */
  dropped: RunId[];
  /** Runs that lived at the backup and of which History knows no end: their workers take them up, or a keeper closes them. */
  kept: RunId[];
}

type Deps = Pick<JobStore, 'kv' | 'layout'> & { history: History };

const pageSize = 500;
/** Jobs whose past is looked up at a time. */
const jobsAtOnce = 20;
/** More instants than these are not counted one by one. */
const countLimit = 1_000_000;
const reason = 'not decided before the store of jobs was restored from a backup';

/**
 * After a restore cursors stand where they stood at the backup, and orders, waiting attempts and living runs with them: whatever has
 * run since would run again. This sets the floor of each job to now and takes away what History, which is not part of the backup, can't
 * vouch for. To be done before any agent starts; again it does what is left. Refusal `workers_live` where somebody is at work.
 */
export async function settleAfterRestore(deps: Deps): Promise<AfterRestore> {
  const { history } = deps;
  await refuseLive(deps);
  const now = await history.now();
  const done: AfterRestore = { jobs: 0, missed: 0, orders: [], dropped: [], kept: [] };
  // Floors first: whatever is cut off in the middle has made nothing due.
  await floors(deps, now, done);
  await orders(deps, done);
  await runs(deps, now, done);
  return done;
}

/** A restored registration ends with its lease; one that is renewed is somebody's. */
async function refuseLive({ kv, layout }: Deps): Promise<void> {
  const { entries } = await kv.range(prefixRange(layout.workers));
  const live = entries.flatMap((entry) => {
    const read = decode(WorkerValue, entry);
    return read.ok && read.value.state !== 'away' ? [read.value.id] : [];
  });
  if (live.length > 0)
    throw new Refusal(
      'workers_live',
      `workers are registered: ${live.join(', ')}; expected none. Stop the agents; registrations out of the backup are gone within 15 s of etcd's start`,
      { retryAfter: 5 },
    );
}

async function* eachOf({ kv }: Deps, prefix: string): AsyncGenerator<Entry[]> {
  const { key, end } = prefixRange(prefix);
  for (let from = key; ; ) {
    const { entries, more } = await kv.range({ key: from, end }, { limit: pageSize });
    yield entries;
    const last = entries.at(-1);
    if (!more || last === undefined) return;
    from = `${last.key}\0`;
  }
}

/** What stands as it was seen is changed; what does not was changed by somebody who should not be there. */
async function change({ kv }: Deps, entry: Entry, op: Op): Promise<void> {
  const compare: Compare[] = [{ key: entry.key, target: 'mod', op: '=', revision: entry.mod }];
  if (!(await kv.txn({ compare, then: [op] })).succeeded)
    throw new Refusal('conflict', `${entry.key}: was changed meanwhile; expected nobody else at work`);
}

async function floors(deps: Deps, now: number, done: AfterRestore): Promise<void> {
  for await (const entries of eachOf(deps, deps.layout.jobs))
    for (let at = 0; at < entries.length; at += jobsAtOnce)
      await Promise.all(
        entries.slice(at, at + jobsAtOnce).map(async (entry) => {
          const read = decode(JobValue, entry);
          // What is paused or disabled gets its floor when it is resumed or enabled; of what can't be read nothing runs.
          if (!read.ok || !read.value.job.enabled || isPaused(read.value.paused, now)) return;
          if (read.value.floor >= now) return;
          const record = { ...read.value, floor: now, floorWhy: 'created' as const };
          const missed = await undecided(deps, read.value.job, now);
          await deps.history.saveRuns(missed);
          await change(deps, entry, { type: 'put', key: entry.key, value: encodeJob(record) });
          done.jobs += 1;
          done.missed += missed.length;
        }),
      );
}

/** Of each lane the instants up to now that neither its cursor nor History knows of, as one record. */
async function undecided({ kv, layout, history }: Deps, job: Job, now: number): Promise<Run[]> {
  const schedule = scheduleOf(job);
  if (schedule === null) return [];
  const { group, name } = job;
  const prefix = `${layout.cursors}${jobId(group, name)}/`;
  const { entries } = await kv.range(prefixRange(prefix));
  const records = entries.map(async (entry) => {
    const lane = entry.key.slice(prefix.length);
    const worker = lane === oneLane ? null : lane;
    const read = decode(CursorValue, entry);
    if (!read.ok || (worker === null) !== (job.mode === 'one')) return [];
    const pages = (['schedule', 'catch-up'] as const).map((trigger) =>
      history.runs({ group, name, trigger, limit: 1, ...(worker === null ? {} : { worker }) }),
    );
    const known = (await Promise.all(pages)).flatMap(({ items }) => items);
    const last = Math.max(
      read.value.instant,
      ...known.map(({ instant, until }) => until ?? instant ?? Number.NEGATIVE_INFINITY),
    );
    const instant = schedule.next(last);
    if (instant === null || instant > now) return [];
    const count = schedule.count(last, now, countLimit);
    return [
      blankRun({
        ...{ id: runId({ group, name, cause: instantText(instant), attempt: 1, worker }), group, name },
        ...{ state: 'missed', reason, instant, until: count > 1 ? schedule.prev(now + 1) : null, count },
        ...{ worker, plannedAt: instant, endedAt: now, expireAt: now + durationMs(job.retention) },
      }),
    ];
  });
  return (await Promise.all(records)).flat();
}

async function orders(deps: Deps, done: AfterRestore): Promise<void> {
  for await (const entries of eachOf(deps, deps.layout.orders))
    for (const entry of entries) {
      const key = splitKey(deps.layout.orders, entry.key);
      const read = decode(OrderValue, entry);
      // One that is done answers a repeated request, and runs nothing.
      if (key === null || !read.ok || read.value.done) continue;
      await change(deps, entry, { type: 'delete', key: entry.key });
      const { kind, next } = read.value;
      done.orders.push({ job: key.job, order: key.rest[0] ?? '', kind, next });
    }
}

async function runs(deps: Deps, now: number, done: AfterRestore): Promise<void> {
  for await (const entries of eachOf(deps, deps.layout.running))
    for (const entry of entries) {
      const key = splitKey(deps.layout.running, entry.key);
      const read = decode(RunningValue, entry);
      const run = key?.rest[1];
      if (key === null || run === undefined || !read.ok) continue;
      const known = await deps.history.run(run);
      const ended = known !== null && isTerminal(known.state);
      if (read.value.state === 'claimed' && !ended) {
        done.kept.push(run);
        continue;
      }
      if (!ended) await deps.history.saveRuns([cancelled(run, key.job, read.value, now)]);
      await change(deps, entry, { type: 'delete', key: entry.key });
      done.dropped.push(run);
    }
}

/** A next attempt that may have been made since, on a worker whose spool alone knows: its record then stands beside this one. */
function cancelled(
  run: RunId,
  job: JobId,
  { instant, attempt, trigger, by }: RunningValue,
  now: number,
): Run {
  const [group = '', name = ''] = job.split('/');
  return blankRun({
    ...{ id: run, group, name, instant, attempt, trigger, by, state: 'cancelled' },
    ...{ reason: 'it waited when the backup was made', endedAt: now, expireAt: now + durationMs('30d') },
  });
}
