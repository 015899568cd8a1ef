import { scheduleOf } from '#core/cluster/check-job.ts';
import type { Job } from '#core/model/job.ts';

/** When a job is due, behind `from` and before `to`. */
export function instants(job: Job, from: number, to: number): number[] {
  const schedule = scheduleOf(job);
  const all: number[] = [];
  for (
    let next = schedule?.next(from) ?? null;
    next !== null && next < to;
    next = schedule?.next(next) ?? null
  )
    all.push(next);
  return all;
}
