import { scheduleOf } from '#core/cluster/check-job.ts';
import { type HeldKey, livingRunsOf, runOfKey } from '#core/cluster/kills.ts';
import { isPaused } from '#core/decide/may-start.ts';
import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { durationOf, lateMs, type Run } from '#core/model/run.ts';
import type { WorkerView } from '#core/model/worker.ts';
import type { JobView, RunView, WorkerAnswer } from './answers.ts';
import { type AppDeps, type Caller, hasRole, storeOf } from './deps.ts';
import { unlessAway } from './in-time.ts';

export const iso = (ms: number) => new Date(ms).toISOString();
export const isoOrNull = (ms: number | null) => (ms === null ? null : iso(ms));

/** A run as API.md shows it. */
export function runView(run: Run): RunView {
  const { kill, also, instant, until, plannedAt, claimedAt, startedAt, endedAt, expireAt, ...rest } = run;
  return {
    ...rest,
    instant: isoOrNull(instant),
    until: isoOrNull(until),
    plannedAt: isoOrNull(plannedAt),
    claimedAt: isoOrNull(claimedAt),
    startedAt: isoOrNull(startedAt),
    endedAt: isoOrNull(endedAt),
    expireAt: isoOrNull(expireAt),
    lateMs: run.trigger === 'schedule' && run.attempt === 1 ? lateMs(run) : null,
    durationMs: durationOf(run),
    also: also === null ? null : alsoView(also),
    kill: kill && {
      ...kill,
      requestedAt: iso(kill.requestedAt),
      signalledAt: isoOrNull(kill.signalledAt),
      confirmedAt: isoOrNull(kill.confirmedAt),
    },
  };
}

const times = new Set(['instant', 'until', 'plannedAt', 'claimedAt', 'startedAt', 'endedAt', 'expireAt']);

/** The later record has some of a run's fields. */
function alsoView(also: Partial<Run>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(also).map(([field, value]) => [
      field,
      times.has(field) && typeof value === 'number' ? iso(value) : value,
    ]),
  );
}

/** Environment values are for editors: they hold what others should not see. */
export function jobFor(caller: Caller, job: Job): Job {
  return hasRole(caller, 'editor') ? job : { ...job, env: masked(job.env) };
}

export function masked(env: object): Record<string, string> {
  return Object.fromEntries(Object.keys(env).map((name) => [name, '***']));
}

/** What History has of living runs. An attempt that waits has no record yet. */
async function recordsOf({ history }: AppDeps, held: readonly HeldKey[]): Promise<Map<string, Run>> {
  const claimed = held.filter(({ value }) => value.state === 'claimed');
  const records = await Promise.all(claimed.map(({ run }) => history.run(run)));
  return new Map(records.flatMap((run) => (run === null ? [] : [[run.id, run]])));
}

/** A stored job with what is known of its runs. */
export interface SeenJob {
  record: JobRecord;
  last: Run | null;
  running: Run[];
  /** History did not answer: what ran last is not known, and of what lives only what its key says. */
  historyAway: boolean;
}

export const idOf = ({ job }: JobRecord): JobId => jobId(job.group, job.name);

/** What is known of the runs of these jobs, in few requests. `blind`: History has just not answered, so it is not asked. */
export async function seeJobs(
  deps: AppDeps,
  records: readonly JobRecord[],
  blind = false,
): Promise<SeenJob[]> {
  const { clock, history } = deps;
  const ids = records.map(idOf);
  const [latest, living] = await Promise.all([
    blind ? null : unlessAway(clock, history.latest(ids)),
    livingRunsOf(storeOf(deps), ids),
  ]);
  const known = latest === null ? null : await unlessAway(clock, recordsOf(deps, living.flat()));
  return records.map((record, at) => ({
    record,
    last: latest?.get(idOf(record)) ?? null,
    running: (living[at] ?? []).map((one) => known?.get(one.run) ?? runOfKey(one)),
    historyAway: known === null,
  }));
}

export function jobView(
  now: number,
  caller: Caller,
  { record, last, running, historyAway }: SeenJob,
): JobView {
  const { job, revision, paused } = record;
  return {
    job: jobFor(caller, job),
    revision,
    createdAt: iso(record.createdAt),
    updatedAt: iso(record.updatedAt),
    updatedBy: record.updatedBy,
    paused: isPaused(paused, now)
      ? { by: paused.by, at: iso(paused.at), reason: paused.reason, until: isoOrNull(paused.until) }
      : null,
    skips: record.skips.filter((at) => at > now).map(iso),
    next: nextOf(record, now, 3).map(iso),
    last: last === null ? null : runView(last),
    running: running.map(runView),
    away: historyAway ? ['history'] : [],
  };
}

/** The instants to come, as things stand: none while disabled, or paused without end. */
export function nextOf({ job, paused, skips, floor }: JobRecord, now: number, count: number): number[] {
  const schedule = job.enabled ? scheduleOf(job) : null;
  const from = isPaused(paused, now) ? paused.until : now + 1;
  if (schedule === null || from === null) return [];
  const next: number[] = [];
  let at = schedule.next(Math.max(from - 1, floor));
  while (at !== null && next.length < count) {
    if (!skips.includes(at)) next.push(at);
    at = schedule.next(at);
  }
  return next;
}

export function workerView(worker: WorkerView): WorkerAnswer {
  return { ...worker, since: iso(worker.since), lastBeat: isoOrNull(worker.lastBeat) };
}
