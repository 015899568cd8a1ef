import type { JobRecord, Paused } from '#core/model/job.ts';
import type { Trigger } from '#core/model/run.ts';

/** Whether a pause holds at `at` (UTC ms): a pure function of time, so nobody has to end it. */
export function isPaused(paused: Paused | null, at: number): paused is Paused {
  return paused !== null && (paused.until === null || at < paused.until);
}

/**
 * The one predicate of what may start: null, or why not. A pause concerns schedule, catch-up and what follows from
 * them; who asks by hand means it. A disabled job starts nothing at all.
 */
export function mayNotStart(
  record: Pick<JobRecord, 'job' | 'paused'> | null,
  at: number,
  trigger: Trigger,
): 'deleted' | 'disabled' | 'paused' | null {
  if (record === null) return 'deleted';
  if (!record.job.enabled) return 'disabled';
  const byHand = trigger === 'manual' || trigger === 'backfill';
  return !byHand && isPaused(record.paused, at) ? 'paused' : null;
}

/** The reason of an instant that somebody left out by name. */
export const leftOutReason = 'left out by hand';

/**
 * Why a claimed run must not start any more, or null: what `mayNotStart` says now, and what was said of its instant since the claim though
 * it is undone by now. An edit after the claim is no reason: the claimed version starts.
 */
export function barredBy(
  record: JobRecord | null,
  at: number,
  { trigger, instant }: { trigger: Trigger; instant: number | null },
): 'deleted' | 'disabled' | 'paused' | typeof leftOutReason | null {
  const now = mayNotStart(record, at, trigger);
  if (now !== null || record === null || trigger !== 'schedule' || instant === null) return now;
  if (record.skips.includes(instant)) return leftOutReason;
  if (instant <= record.createdAt) return 'deleted';
  const { floor, floorWhy } = record;
  return instant <= floor && (floorWhy === 'disabled' || floorWhy === 'paused') ? floorWhy : null;
}
