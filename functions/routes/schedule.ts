import * as v from 'valibot';
import { scheduleOf } from '#core/cluster/check-job.ts';
import { getJob, pageOfJobs } from '#core/cluster/jobs.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { livingRuns } from '#core/cluster/kills.ts';
import { CursorValue, decode } from '#core/cluster/records.ts';
import { listWorkers } from '#core/cluster/workers.ts';
import { fits } from '#core/decide/placement.ts';
import { explain } from '#core/decide/why.ts';
import { durationMs, isDuration } from '#core/model/duration.ts';
import { jobId, parseJobId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { parseSchedule } from '#core/schedule/parse.ts';
import { preview } from '#core/schedule/preview.ts';
import { sentence } from '#core/schedule/sentence.ts';
import { warnings } from '#core/schedule/warnings.ts';
import { mayTouch, storeOf } from '../deps.ts';
import { number, time } from '../fields.ts';
import { route } from '../route.ts';
import { iso } from '../views.ts';

const step = v.optional(
  v.pipe(
    v.string(),
    v.check((text) => isDuration(text) && durationMs(text) >= 1_000, 'expected a duration of at least 1s'),
  ),
  '1h',
);
const mostSteps = 2_000;

function range(
  query: { from?: number | undefined; to?: number | undefined; step: string },
  from: number,
  to: number,
) {
  const bounds = { from: query.from ?? from, to: query.to ?? to, stepMs: durationMs(query.step) };
  if (bounds.to <= bounds.from) throw new Refusal('query_invalid', 'to: expected a time after from');
  if ((bounds.to - bounds.from) / bounds.stepMs > mostSteps)
    throw new Refusal(
      'query_invalid',
      `step: ${query.step}: expected at most ${mostSteps} steps between from and to`,
    );
  return bounds;
}

export const scheduleRoutes = [
  route({
    ...{ method: 'GET', path: '/schedule', role: 'viewer', summary: 'What an expression means' },
    query: v.strictObject({
      expr: v.pipe(v.string(), v.maxLength(1_000)),
      timezone: v.optional(v.string(), 'UTC'),
      dst: v.optional(v.picklist(['vixie', 'skip', 'both']), 'vixie'),
      from: v.optional(time),
      count: v.optional(number(1, 100), '5'),
    }),
    async handle({ c, deps, query }) {
      const { expr, timezone, dst } = query;
      const schedule = parseSchedule(expr, { timezone, dst });
      const from = query.from ?? deps.clock.now();
      const next = preview(schedule, from, query.count).map((one) => ({ ...one, instant: iso(one.instant) }));
      return c.json({
        normal: schedule.normal,
        sentence: sentence(schedule),
        next,
        warnings: warnings(schedule, from),
      });
    },
  }),
  route({
    ...{ method: 'GET', path: '/why', role: 'viewer', summary: 'Why an instant ran, or did not' },
    query: v.strictObject({ job: v.string(), instant: time }),
    async handle({ c, deps, caller, query }) {
      const { group, name } = parseJobId(query.job);
      if (!mayTouch(caller, group))
        throw new Refusal('forbidden', `group: this token is not for group ${group}`);
      const id = jobId(group, name);
      const store = storeOf(deps);
      const now = deps.clock.now();
      const [stored, runs, living, workers, cursors] = await Promise.all([
        getJob(store, id),
        deps.history.covering(group, name, query.instant),
        livingRuns(store, id),
        listWorkers(deps.kv, deps.layout, [], now),
        deps.kv.range({ key: deps.layout.cursor(id, oneLane) }),
      ]);
      const record = stored?.record ?? null;
      const entry = cursors.entries[0];
      const cursor = entry === undefined ? null : decode(CursorValue, entry);
      const why = explain({
        ...{ job: id, instant: query.instant, now, record, runs },
        schedule: record === null ? null : scheduleOf(record.job),
        cursor: cursor?.ok ? cursor.value : null,
        running: living
          .filter(({ value }) => value.instant === query.instant)
          .map(({ run, value }) => ({
            run,
            worker: value.worker,
            state: value.state,
            at: value.at,
            trigger: value.trigger,
          })),
        fitting:
          record === null
            ? []
            : workers
                .filter((worker) => worker.state === 'live' && fits(record.job, worker))
                .map((worker) => worker.id),
      });
      return c.json({ ...why, evidence: why.evidence.map((one) => ({ ...one, at: iso(one.at) })) });
    },
  }),
  route({
    ...{ method: 'GET', path: '/stats', role: 'viewer', summary: 'Counts and durations' },
    query: v.strictObject({ from: v.optional(time), to: v.optional(time), step }),
    async handle({ c, deps, caller, query }) {
      const now = deps.clock.now();
      const bounds = range(query, now - 86_400_000, now);
      const buckets = await deps.history.stats({
        ...bounds,
        ...(caller.groups === null ? {} : { groups: caller.groups }),
      });
      return c.json({ items: buckets.map((bucket) => ({ ...bucket, at: iso(bucket.at) })) });
    },
  }),
  route({
    ...{ method: 'GET', path: '/forecast', role: 'viewer', summary: 'Instants to come per step' },
    query: v.strictObject({ from: v.optional(time), to: v.optional(time), step }),
    async handle({ c, deps, caller, query }) {
      const now = deps.clock.now();
      const { from, to, stepMs } = range(query, now, now + 86_400_000);
      const items = Array.from({ length: Math.ceil((to - from) / stepMs) }, (_, at) => ({
        at: iso(from + at * stepMs),
        count: 0,
        jobs: 0,
      }));
      for (let after: string | null = null; ; ) {
        const { jobs, last, more } = await pageOfJobs(storeOf(deps), { after, limit: 500 });
        for (const { record } of jobs) {
          if (!record.job.enabled || record.paused?.until === null || !mayTouch(caller, record.job.group))
            continue;
          const schedule = scheduleOf(record.job);
          if (schedule === null) continue;
          items.forEach((item, at) => {
            const count = schedule.count(
              from + at * stepMs - 1,
              Math.min(from + (at + 1) * stepMs, to) - 1,
              100_000,
            );
            item.count += count;
            if (count > 0) item.jobs += 1;
          });
        }
        if (!more) break;
        after = last;
      }
      return c.json({ items });
    },
  }),
];
