import type { Instants } from './due.ts';

export interface Step {
  count: number;
  jobs: number;
}

/** UTC ms. */
interface Range {
  from: number;
  to: number;
  stepMs: number;
}

/**
 * How many instants from `start` on lie in each step of [from, to), added to `steps`. Beyond `limit` instants they are not counted but taken to
 * go on at the rate of those that were; then the answer is false.
 */
export function addInstants(
  steps: Step[],
  schedule: Instants,
  { start, from, to, stepMs, limit }: Range & { start: number; limit: number },
): boolean {
  const counts = new Map<number, number>();
  let last = start - 1;
  let counted = 0;
  for (let at = schedule.next(start - 1); at !== null && at < to; at = schedule.next(at)) {
    if (counted === limit) break;
    const step = Math.floor((at - from) / stepMs);
    counts.set(step, (counts.get(step) ?? 0) + 1);
    counted += 1;
    last = at;
  }
  const whole = counted < limit || (schedule.next(last) ?? to) >= to;
  if (!whole) extrapolate(counts, { from, to, stepMs }, last + 1, counted / (last + 1 - start));
  for (const [at, count] of counts) {
    const step = steps[at];
    if (step === undefined) continue;
    step.count += Math.round(count);
    step.jobs += 1;
  }
  return whole;
}

/** Goes on from `start` at a rate of instants per ms. */
function extrapolate(
  counts: Map<number, number>,
  { from, to, stepMs }: Range,
  start: number,
  rate: number,
): void {
  for (let at = start; at < to; ) {
    const step = Math.floor((at - from) / stepMs);
    const end = Math.min(from + (step + 1) * stepMs, to);
    counts.set(step, (counts.get(step) ?? 0) + (end - at) * rate);
    at = end;
  }
}
