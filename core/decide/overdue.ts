import { durationMs } from '#core/model/duration.ts';
import type { JobRecord } from '#core/model/job.ts';
import { cursorAheadMs, floorOf, type Instants } from './due.ts';
import { isPaused } from './may-start.ts';

/** One job in one lane as somebody sees it who decides nothing: the second pair of eyes. */
export interface WatchedLane {
  job: string;
  /** `~`, or in mode all the worker's id. */
  lane: string;
  record: JobRecord;
  schedule: Instants | null;
  /** The last decided instant, UTC ms; null: none yet. */
  cursor: number | null;
  /** The store's key of that; null: there is none, and `cursor` is where a new lane begins. */
  cursorKey: string | null;
  /** Mode all: since when its worker is there. One that has only just come is catching up. */
  since: number | null;
  /** Whether a run of this lane lives. */
  living: boolean;
  /** Who might decide it; `not` says why one would not. */
  workers: readonly { id: string; not: string | null }[];
  now: number;
}

/**
 * What was due and that nobody has decided: not run, not skipped, not written off. Or what is to come and will not run, for a cursor that
 * stands ahead of the clock says that it has been decided.
 */
export interface Overdue {
  job: string;
  lane: string;
  /** The first such instant, UTC ms, and how many there are. */
  instant: number;
  count: number;
  why: string;
  /** Where its cursor stands, UTC ms, if that is ahead of the clock; else null. */
  ahead: number | null;
}

/**
 * As long as an instant may rightly take where its home dies with it: the lease (10 s), the keeper's margins (2 s), the deputies'
 * turn, and as much again. What a kill at the loss of the lease takes comes on top.
 */
const patienceMs = 30_000;

/** Counting stops here: so many say enough. */
const countLimit = 100_000;

/** Whether a lane is overdue, and why. Pure; it says so of nothing that somebody holds back on purpose. */
export function overdueOf(lane: WatchedLane): Overdue | null {
  const { record, schedule, now, living } = lane;
  const { job } = record;
  if (!job.enabled || schedule === null || isPaused(record.paused, now)) return null;
  const stopped = stoppedAhead(lane, schedule);
  if (stopped !== null) return stopped;
  const killMs = job.onLeaseLoss === 'kill' ? durationMs(job.killGrace) : 0;
  const due = now - patienceMs - killMs;
  if (lane.since !== null && lane.since > due) return null;
  const decided = lane.cursor ?? Math.min(record.createdAt, record.floor);
  const lower = Math.max(decided, floorOf(record, now).at);
  let instant = schedule.next(lower);
  while (instant !== null && record.skips.includes(instant)) instant = schedule.next(instant);
  if (instant === null || instant > due) return null;
  // Its own policy: the finisher goes on with what waits.
  if (living && job.overlap === 'queue') return null;
  return {
    ...{ job: lane.job, lane: lane.lane, instant },
    count: schedule.count(instant - 1, due, countLimit),
    ...{ why: reasonOf(lane), ahead: null },
  };
}

/** A cursor never goes back: by one of a clock that was a year ahead a job stands still for a year, and nothing is ever due. */
function stoppedAhead(
  { job, lane, record, cursor, cursorKey, now }: WatchedLane,
  schedule: Instants,
): Overdue | null {
  if (cursor === null || cursorKey === null || cursor <= now + cursorAheadMs) return null;
  const instant = schedule.next(Math.max(now, floorOf(record, now).at));
  if (instant === null || instant > cursor) return null;
  const mend = `cronfleet pause ${job}, etcdctl del ${cursorKey}, cronfleet resume ${job}`;
  return {
    ...{ job, lane, instant, ahead: cursor },
    count: schedule.count(instant - 1, cursor, countLimit),
    why: `its cursor says that all is decided up to ${new Date(cursor).toISOString()}: a clock was ahead when that was written. To mend it: ${mend} (without etcd: apply it under another name)`,
  };
}

function reasonOf({ workers, living }: WatchedLane): string {
  if (workers.length === 0) return 'there is no worker';
  const able = workers.filter(({ not }) => not === null).map(({ id }) => id);
  if (able.length === 0)
    return `nobody may run it: ${workers.map(({ id, not }) => `${id} ${not ?? ''}`).join('; ')}`;
  const who = able.length > 5 ? `${able.length} workers` : able.join(', ');
  return living
    ? `its last run still lives; ${who} may run the next`
    : `${who} may run it, but is full, or does not decide`;
}

/** A key of a living run, by its owner. */
export interface HeldRun {
  job: string;
  run: string;
  worker: string;
  /** When it was claimed, or began to wait; UTC ms. */
  at: number;
}

/** A worker that is gone and whose runs nobody has closed. */
export interface DeadWorker {
  worker: string;
  runs: readonly string[];
  /** When it was last heard of; null: unknown. */
  lastBeat: number | null;
  why: string;
}

/** Beats are told every few seconds, and a keeper looks at all runs once a minute. */
const keptMs = 120_000;

/** Workers without a registration that still own runs, after the time in which a keeper would have closed them. */
export function deadWorkers(facts: {
  held: readonly HeldRun[];
  registered: ReadonlySet<string>;
  lastBeats: ReadonlyMap<string, number>;
  now: number;
}): DeadWorker[] {
  const { held, registered, lastBeats, now } = facts;
  const byWorker = new Map<string, HeldRun[]>();
  for (const one of held)
    if (!registered.has(one.worker)) byWorker.set(one.worker, [...(byWorker.get(one.worker) ?? []), one]);
  return [...byWorker].flatMap(([worker, runs]) => {
    const lastBeat = lastBeats.get(worker) ?? null;
    // Of one that was never heard of, the youngest of its claims is the last sign of life.
    const lastSign = lastBeat ?? Math.max(...runs.map(({ at }) => at));
    if (now - lastSign < keptMs) return [];
    const why =
      registered.size === 0
        ? 'no worker is left to close its runs'
        : 'its runs should have been closed by now; do the workers that are left reach the store?';
    return [{ worker, runs: runs.map(({ run }) => run), lastBeat, why }];
  });
}
