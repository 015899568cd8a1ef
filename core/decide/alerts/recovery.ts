import { type Alert, newAlert } from '#core/model/alert.ts';
import type { Job } from '#core/model/job.ts';
import type { Run } from '#core/model/run.ts';
import { isLate } from './run-alerts.ts';

/** What of the alerts about one thing is over, and what is to be said of it. */
export interface Recovery {
  over: string[];
  /** Those among them of which nobody has heard, and nobody needs to. */
  withdrawn: string[];
  notice: Alert | null;
}

/** The alerts about a job, given its last run; of a job that is gone nothing is said any more. */
export function jobRecovery(
  open: readonly Alert[],
  job: Job | null,
  last: Run | null,
  now: number,
): Recovery {
  if (job === null) return { over: open.map(({ id }) => id), withdrawn: [], notice: null };
  const well = open.filter((alert) => last !== null && isWell(alert, job, last));
  const over = well.filter((alert) => !repeatsTold(alert, well));
  return {
    over: over.map(({ id }) => id),
    withdrawn: well.filter((alert) => !over.includes(alert)).map(({ id }) => id),
    notice: noticeOf(over, last?.id ?? null, now),
  };
}

/** Whether all that it would say has been said by an earlier one. */
function repeatsTold(alert: Alert, others: readonly Alert[]): boolean {
  if (alert.told.length > 0 || alert.due === null) return false;
  return others.some(
    ({ kind, told, to }) =>
      kind === alert.kind && told.length > 0 && alert.to.every((channel) => to.includes(channel)),
  );
}

function isWell(alert: Alert, job: Job, last: Run): boolean {
  if (last.state !== 'succeeded') return false;
  return alert.kind !== 'late' || (last.id !== alert.run && !isLate(job, last, last.endedAt ?? 0));
}

/**
 * The alerts about something of the fleet that is as it should be. What somebody is being told of at the moment waits until that is done:
 * whether it is to be taken back shows then.
 */
export function fleetRecovery(open: readonly Alert[], now: number): Recovery {
  const told = open.filter(({ told }) => told.length > 0);
  const untold = open.filter(({ told, by }) => told.length === 0 && by === null);
  return {
    over: told.map(({ id }) => id),
    withdrawn: untold.map(({ id }) => id),
    notice: noticeOf(told, null, now),
  };
}

/** One notice for all: its id is that of the first, so whoever else finds the same says the same. */
function noticeOf(over: readonly Alert[], run: string | null, now: number): Alert | null {
  const [first] = over.toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  if (first === undefined) return null;
  const to = [...new Set(over.flatMap(({ recoverTo }) => recoverTo))];
  if (to.length === 0) return null;
  return newAlert({
    ...{ id: `recovered~${first.id}`, kind: 'recovered', about: first.about, job: first.job, run, to },
    ...{ worker: first.worker, at: now, open: false, endedAt: now },
    title: first.job === null ? `over: ${first.title}` : `${first.about} is well again`,
    text: over.map(({ title, at }) => `since ${new Date(at).toISOString()}: ${title}`).join('\n'),
  });
}
