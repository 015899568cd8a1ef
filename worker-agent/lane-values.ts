import { type LaneBasis, maxOwed } from '#core/cluster/claim.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { stretchRecord } from '#core/cluster/owed.ts';
import type { OrderValue, RunningValue } from '#core/cluster/records.ts';
import { decideLane, decideUnfit, type Stretch, type Verdict } from '#core/decide/due.ts';
import { instantText, parseJobId, type RunId, runId } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';
import type { AgentDeps } from './context.ts';
import type { Lane } from './lane.ts';
import { leaseGrace } from './lease-grace.ts';
import type { Mirror, MirroredJob } from './mirror.ts';
import type { Presence } from './presence.ts';

/** Counting stops here: a backlog of a million instants says enough. */
const countLimit = 1_000_000;

/** What is said of a lane as it stands now: the verdict on what is due, and the values that a decision writes. */
export function createLaneValues(
  deps: Pick<AgentDeps, 'clock' | 'settings'> & { mirror: Mirror; presence: Presence },
) {
  const { clock, settings, mirror, presence } = deps;

  /** What would run in this lane at the instant. */
  function lanePlan(lane: Lane, instant: number) {
    const job = mirror.jobs.get(lane.job);
    if (job === undefined) return null;
    const running = runningOf(job, instant, { trigger: 'schedule', covers: null });
    return { run: instantRun(lane, instant), spec: job.record.job, running };
  }

  function instantRun(lane: Lane, instant: number): RunId {
    return runId({
      ...parseJobId(lane.job),
      cause: instantText(instant),
      attempt: 1,
      worker: lane.lane === oneLane ? null : lane.lane,
    });
  }

  function runningOf(
    job: MirroredJob,
    instant: number,
    how: { trigger: 'schedule' | 'catch-up'; covers: RunningValue['covers'] },
  ): RunningValue {
    return {
      worker: settings.id,
      incarnation: presence.incarnation() ?? '0',
      state: 'claimed',
      instant,
      attempt: 1,
      losses: 0,
      covers: how.covers,
      notBefore: instant,
      at: clock.now(),
      trigger: how.trigger,
      order: null,
      by: null,
      env: {},
      ...leaseGrace(job.record.job),
    };
  }

  function basisOf(lane: Lane, job: MirroredJob): LaneBasis {
    return { job: lane.job, lane: lane.lane, cursorMod: lane.cursorMod, jobMod: job.mod };
  }

  function verdictOf(lane: Lane, job: MirroredJob, now: number): Verdict {
    // Mode all counts from when this worker came, where it has not decided anything yet.
    const since = presence.since();
    const { floor, createdAt } = job.record;
    const record =
      lane.lane !== oneLane && lane.cursor === null
        ? { ...job.record, floor: Math.max(floor, since), createdAt: Math.max(createdAt, since) }
        : job.record;
    const view = { record, schedule: job.schedule, cursor: lane.cursor, now, held: lane.held };
    return trim(lane.runnable ? decideLane(view) : decideUnfit(view));
  }

  /** A claim's lead is never more than half the interval. */
  function leadCap(job: MirroredJob, instant: number): number {
    const next = job.schedule?.next(instant) ?? null;
    return next === null ? Number.POSITIVE_INFINITY : (next - instant) / 2;
  }

  function catchUpOrder(
    lane: Lane,
    { record, schedule }: MirroredJob,
    { from, to }: { from: number; to: number },
  ): { order: string; value: OrderValue } {
    const leftOut = record.skips.filter((instant) => instant >= from && instant <= to).length;
    const worker = lane.lane === oneLane ? null : lane.lane;
    const id = `catch-up.${instantText(to)}`;
    return {
      order: worker === null ? id : `${id}~${worker}`,
      value: {
        kind: 'catch-up',
        from,
        to,
        next: from,
        left: (schedule?.count(from - 1, to, countLimit) ?? 0) - leftOut,
        env: {},
        worker,
        expiresAt: null,
        taken: null,
        done: false,
        by: 'schedule',
        at: clock.now(),
      },
    };
  }

  function recordOf({ lane }: Lane, job: MirroredJob, stretch: Stretch): Run {
    return stretchRecord(job.record.job, lane, stretch, { worker: settings.id, at: clock.now() });
  }

  return { lanePlan, instantRun, runningOf, basisOf, verdictOf, leadCap, catchUpOrder, recordOf };
}
export type LaneValues = ReturnType<typeof createLaneValues>;

/** One transaction owes at most so many records: the rest waits for the next, from where this one ends. */
function trim(verdict: Verdict): Verdict {
  if (verdict.do === 'rest' || verdict.do === 'wait' || verdict.records.length < maxOwed) return verdict;
  const records = verdict.records.slice(0, maxOwed - 1);
  const last = records.at(-1);
  return last === undefined ? verdict : { do: 'decide', cursor: last.until, records };
}
