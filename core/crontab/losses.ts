import type { Job } from '#core/model/job.ts';

export function schedulesOf({ schedule }: Job): readonly string[] {
  return schedule === null ? [] : typeof schedule === 'string' ? [schedule] : schedule;
}

/** Why a job can't stand in a crontab: there it would run when, or what, it should not. Null: it can. */
export function obstacle(job: Job): string | null {
  if (job.argv !== null) return 'runs a list of arguments without a shell';
  if (schedulesOf(job).length === 0) return 'runs by hand only';
  if (!job.enabled) return 'is disabled';
  if (job.except.length > 0 || job.startAt !== null || job.endAt !== null)
    return 'leaves times out (except, startAt, endAt)';
  return null;
}

/** What of a job a crontab has no word for, where it differs from what cron does anyway. */
export function losses(job: Job): string[] {
  const { workers, labels } = job.target;
  const lost = {
    'its schedules in one line (an instant of two of them comes twice)': schedulesOf(job).length > 1,
    [`overlap ${job.overlap}`]: job.overlap !== 'allow',
    [`catchUp ${job.catchUp}`]: job.catchUp !== 'none',
    [`dst ${job.dst}`]: job.dst !== 'vixie',
    [`timeout ${job.timeout}`]: job.timeout !== null,
    [`retry ${job.retry.attempts}`]: job.retry.attempts > 0,
    [`mode ${job.mode}`]: job.mode !== 'one',
    target: workers.length + Object.keys(labels).length > 0,
    [`successCodes ${job.successCodes}`]: job.successCodes.join() !== '0',
    [`guarantee ${job.guarantee}`]: job.guarantee !== 'at-most-once',
    notify: job.notify.length > 0,
    finishBy: job.finishBy !== null,
    "its worker's PATH": job.env.PATH === undefined,
  };
  return Object.keys(lost).filter((what) => lost[what]);
}
