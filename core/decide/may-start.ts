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
