import { scheduleOf } from '#core/cluster/check-job.ts';
import { livingRuns } from '#core/cluster/kills.ts';
import { isPaused } from '#core/decide/may-start.ts';
import { parseRunId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { blankRun, durationOf, lateMs, type Run } from '#core/model/run.ts';
import type { WorkerView } from '#core/model/worker.ts';
import { type AppDeps, type Caller, hasRole, storeOf } from './deps.ts';

export const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());

/** A run as API.md shows it. */
export function runView(run: Run) {
  const { kill } = run;
  return {
    ...run,
    instant: iso(run.instant),
    until: iso(run.until),
    plannedAt: iso(run.plannedAt),
    claimedAt: iso(run.claimedAt),
    startedAt: iso(run.startedAt),
    endedAt: iso(run.endedAt),
    expireAt: iso(run.expireAt),
    lateMs: run.trigger === 'schedule' && run.attempt === 1 ? lateMs(run) : null,
    durationMs: durationOf(run),
    kill: kill && {
      ...kill,
      requestedAt: iso(kill.requestedAt),
      signalledAt: iso(kill.signalledAt),
      confirmedAt: iso(kill.confirmedAt),
    },
  };
}
export type RunView = ReturnType<typeof runView>;

/** Environment values are for editors: they hold what others should not see. */
export function jobFor(caller: Caller, job: Job): Job {
  if (hasRole(caller, 'editor')) return job;
  return { ...job, env: Object.fromEntries(Object.keys(job.env).map((name) => [name, '***'])) };
}

/** A living run, from History where that has it and from its key else. */
export async function runningOf(deps: AppDeps, job: string): Promise<Run[]> {
  const held = await livingRuns(storeOf(deps), job);
  return await Promise.all(
    held.map(async ({ run, value, entry }) => {
      const { group, name } = parseRunId(run);
      const fromKey = blankRun({
        ...{
          id: run,
          group,
          name,
          state: value.state,
          instant: value.instant,
          attempt: value.attempt,
          trigger: value.trigger,
        },
        ...{
          worker: value.worker,
          incarnation: value.incarnation,
          plannedAt: value.instant ?? value.notBefore,
          by: value.by,
        },
        claimedAt: value.state === 'claimed' ? value.at : null,
        fence: entry.create,
      });
      const known = value.state === 'claimed' ? await deps.history.run(run) : null;
      return known ?? fromKey;
    }),
  );
}

export async function jobView(deps: AppDeps, caller: Caller, record: JobRecord, last: Run | null) {
  const { job, revision, paused } = record;
  const now = deps.clock.now();
  const running = await runningOf(deps, `${job.group}/${job.name}`);
  return {
    job: jobFor(caller, job),
    revision,
    createdAt: iso(record.createdAt),
    updatedAt: iso(record.updatedAt),
    updatedBy: record.updatedBy,
    paused: isPaused(paused, now)
      ? { by: paused.by, at: iso(paused.at), reason: paused.reason, until: iso(paused.until) }
      : null,
    skips: record.skips.filter((at) => at > now).map(iso),
    next: nextOf(record, now, 3).map(iso),
    last: last === null ? null : runView(last),
    running: running.map(runView),
  };
}
export type JobView = Awaited<ReturnType<typeof jobView>>;

/** The instants to come, as things stand: none while disabled, or paused without end. */
export function nextOf({ job, paused, skips, floor }: JobRecord, now: number, count: number): number[] {
  const schedule = job.enabled ? scheduleOf(job) : null;
  const until = isPaused(paused, now) ? paused.until : now;
  if (schedule === null || until === null) return [];
  const next: number[] = [];
  let at = schedule.next(Math.max(until - (until > now ? 1 : 0), floor));
  while (at !== null && next.length < count) {
    if (!skips.includes(at)) next.push(at);
    at = schedule.next(at);
  }
  return next;
}

export function workerView(worker: WorkerView) {
  return { ...worker, since: iso(worker.since), lastBeat: iso(worker.lastBeat) };
}
