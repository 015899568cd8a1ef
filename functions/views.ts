import { scheduleOf } from '#core/cluster/check-job.ts';
import { type HeldKey, livingRunsOf, runOfKey } from '#core/cluster/kills.ts';
import { isPaused } from '#core/decide/may-start.ts';
import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { durationOf, lateMs, type Run } from '#core/model/run.ts';
import type { WorkerView } from '#core/model/worker.ts';
import type { JobView, RunView, WorkerAnswer } from './answers.ts';
import { type AppDeps, type Caller, hasRole, storeOf } from './deps.ts';

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

/** A living run, from History where that has it and from its key else. */
async function runningOf({ history }: AppDeps, held: readonly HeldKey[]): Promise<Run[]> {
  return Promise.all(
    held.map(async (one) => {
      // An attempt that waits has no record yet.
      const known = one.value.state === 'claimed' ? await history.run(one.run) : null;
      return known ?? runOfKey(one);
    }),
  );
}

/** A stored job with what is known of its runs. */
export interface SeenJob {
  record: JobRecord;
  last: Run | null;
  running: Run[];
}

export const idOf = ({ job }: JobRecord): JobId => jobId(job.group, job.name);

/** What is known of the runs of these jobs, in few requests. */
export async function seeJobs(deps: AppDeps, records: readonly JobRecord[]): Promise<SeenJob[]> {
  const ids = records.map(idOf);
  const [latest, living] = await Promise.all([deps.history.latest(ids), livingRunsOf(storeOf(deps), ids)]);
  return Promise.all(
    records.map(async (record, at) => ({
      record,
      last: latest.get(idOf(record)) ?? null,
      running: await runningOf(deps, living[at] ?? []),
    })),
  );
}

export function jobView(now: number, caller: Caller, { record, last, running }: SeenJob): JobView {
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
