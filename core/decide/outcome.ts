import { durationMs } from '#core/model/duration.ts';
import type { Job } from '#core/model/job.ts';
import type { RunState } from '#core/model/run.ts';

/** How a process ended, as far as judging it needs. */
export interface Ending {
  how: 'exited' | 'timed_out' | 'killed' | 'cut_off' | 'not_started' | 'vanished';
  reason: string;
  exitCode: number | null;
}

/** The state and reason that an ending means for a job. */
export function judge(
  job: Pick<Job, 'successCodes' | 'timeout'>,
  end: Ending,
): { state: RunState; reason: string } {
  switch (end.how) {
    case 'timed_out':
      return { state: 'timed_out', reason: end.reason || `longer than its timeout of ${job.timeout}` };
    case 'killed':
      return { state: 'killed', reason: end.reason };
    case 'cut_off':
      return { state: 'killed', reason: end.reason || 'its worker was cut off, and its onLeaseLoss is kill' };
    case 'not_started':
      return { state: 'missed', reason: end.reason || 'too late to start' };
    case 'vanished':
      return { state: 'lost', reason: end.reason || 'its process is gone and left no exit status' };
    case 'exited':
      return end.exitCode !== null && job.successCodes.includes(end.exitCode)
        ? { state: 'succeeded', reason: '' }
        : { state: 'failed', reason: end.reason || `exit status ${end.exitCode}` };
  }
}

export interface NextAttempt {
  attempt: number;
  losses: number;
  /** UTC ms. */
  notBefore: number;
}

const lossBackoffMs = 10_000;
const lossMaxDelayMs = 600_000;

/**
 * The attempt that follows an ended one, or null. failed and timed_out retry as `retry` says; lost ones do where the
 * guarantee is at-least-once, with a counter and a back-off of their own and without limit; killed never does.
 */
export function nextAttempt(
  job: Pick<Job, 'retry' | 'guarantee'>,
  ended: { state: RunState; attempt: number; losses: number; endedAt: number },
): NextAttempt | null {
  const { state, attempt, losses, endedAt } = ended;
  if (state === 'lost') {
    if (job.guarantee !== 'at-least-once') return null;
    const delay = Math.min(lossBackoffMs * 2 ** losses, lossMaxDelayMs);
    return { attempt: attempt + 1, losses: losses + 1, notBefore: endedAt + delay };
  }
  const retried = attempt - 1 - losses;
  if ((state !== 'failed' && state !== 'timed_out') || retried >= job.retry.attempts) return null;
  const delay = Math.min(
    durationMs(job.retry.backoff) * job.retry.factor ** retried,
    durationMs(job.retry.maxDelay),
  );
  return { attempt: attempt + 1, losses, notBefore: endedAt + Math.round(delay) };
}
