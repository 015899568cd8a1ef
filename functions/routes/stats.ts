import * as v from 'valibot';
import { scheduleOf } from '#core/cluster/check-job.ts';
import { pageOfJobs } from '#core/cluster/jobs.ts';
import { addInstants } from '#core/decide/forecast.ts';
import { durationMs } from '#core/model/duration.ts';
import { Refusal } from '#core/model/refusal.ts';
import { Forecast, Stats } from '../answers.ts';
import { type AppDeps, type Caller, groupsOf, mayTouch, storeOf } from '../deps.ts';
import { duration, time } from '../fields.ts';
import { route } from '../route.ts';
import { iso, nextOf } from '../views.ts';

const dayMs = 86_400_000;
const mostSteps = 2_000;
/** Of all jobs together, and of one job at least: some hundred ms of counting. */
const countedInstants = 2_000_000;
const countedOfAJob = 100;
const firstJobs = 10;

const query = v.strictObject({
  from: v.optional(time),
  to: v.optional(time),
  step: v.optional(duration(1_000, 36_500 * dayMs, 'expected a duration of at least 1s'), '1h'),
});
type Range = { from: number; to: number; stepMs: number };

function rangeOf(given: v.InferOutput<typeof query>, from: number, to: number): Range {
  const bounds = { from: given.from ?? from, to: given.to ?? to, stepMs: durationMs(given.step) };
  if (bounds.to <= bounds.from) throw new Refusal('query_invalid', 'to: expected a time after from');
  if ((bounds.to - bounds.from) / bounds.stepMs > mostSteps)
    throw new Refusal(
      'query_invalid',
      `step: ${given.step}: expected at most ${mostSteps} steps between from and to`,
    );
  return bounds;
}

/** Instants to come, of the jobs as they stand: enabled, and not paused without end. */
async function forecast(deps: AppDeps, caller: Caller, range: Range) {
  const { from, to, stepMs } = range;
  const store = storeOf(deps);
  const steps = Array.from({ length: Math.ceil((to - from) / stepMs) }, () => ({ count: 0, jobs: 0 }));
  const { count } = await deps.kv.range(
    { key: deps.layout.jobs, end: `${deps.layout.jobs}\x7f` },
    { countOnly: true },
  );
  const limit = Math.max(countedOfAJob, Math.floor(countedInstants / Math.max(1, count)));
  let estimated = false;
  let first: { group: string; name: string; instant: number }[] = [];
  for (let after: string | null = null; ; ) {
    const { jobs, last, more } = await pageOfJobs(store, { after, limit: 100 });
    for (const { record } of jobs) {
      const { job, paused } = record;
      if (!job.enabled || (paused !== null && paused.until === null) || !mayTouch(caller, job.group))
        continue;
      const schedule = scheduleOf(job);
      const start = Math.max(from, paused?.until ?? from);
      const [instant = to] = nextOf(record, from - 1, 1);
      if (instant < to) first.push({ group: job.group, name: job.name, instant });
      if (schedule !== null && !addInstants(steps, schedule, { ...range, start, limit })) estimated = true;
    }
    first = first.sort((a, b) => a.instant - b.instant).slice(0, firstJobs);
    if (!more) break;
    after = last;
    // Counting is synchronous: whatever else is due has its turn between two pages.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return {
    items: steps.map((step, at) => ({ at: iso(from + at * stepMs), ...step })),
    first: first.map((one) => ({ ...one, instant: iso(one.instant) })),
    estimated,
  };
}

export const statsRoutes = [
  route({
    ...{ method: 'GET', path: '/stats', role: 'viewer', summary: 'Counts and durations' },
    ...{ query, answer: Stats },
    async handle({ c, deps, caller, query: given }) {
      const now = deps.clock.now();
      const range = rangeOf(given, now - dayMs, now);
      const buckets = await deps.history.stats({ ...range, ...groupsOf(caller) });
      return c.json({ items: buckets.map((bucket) => ({ ...bucket, at: iso(bucket.at) })) });
    },
  }),
  route({
    ...{ method: 'GET', path: '/forecast', role: 'viewer', summary: 'Instants to come per step' },
    ...{ query, answer: Forecast },
    async handle({ c, deps, caller, query: given }) {
      const now = deps.clock.now();
      return c.json(await forecast(deps, caller, rangeOf(given, now, now + dayMs)));
    },
  }),
];
