import * as v from 'valibot';
import { parseJobId } from '#core/model/ids.ts';
import { parseSchedule } from '#core/schedule/parse.ts';
import { preview } from '#core/schedule/preview.ts';
import { sentence } from '#core/schedule/sentence.ts';
import { warnings } from '#core/schedule/warnings.ts';
import { Meaning } from '../answers.ts';
import { jobText, number, time } from '../fields.ts';
import { route } from '../route.ts';
import { iso } from '../views.ts';

export const scheduleRoutes = [
  route({
    ...{ method: 'GET', path: '/schedule', role: 'viewer', summary: 'What an expression means' },
    query: v.strictObject({
      expr: v.pipe(v.string(), v.maxLength(1_000)),
      timezone: v.optional(v.string(), 'UTC'),
      dst: v.optional(v.picklist(['vixie', 'skip', 'both']), 'vixie'),
      from: v.optional(time),
      count: v.optional(number(1, 100), '5'),
      /** Whose schedule it is to be: what `H` and `a~b` stand for goes by the job's name. */
      job: v.optional(jobText),
    }),
    ...{ answer: Meaning, refuses: [422] },
    async handle({ c, deps, query }) {
      const { expr, timezone, dst, job, count } = query;
      const named = job === undefined ? null : parseJobId(job);
      const seed = named === null ? undefined : `${named.group}/${named.name}`;
      const schedule = parseSchedule(expr, { timezone, dst, seed });
      const from = query.from ?? deps.clock.now();
      const next = preview(schedule, from, count).map((one) => ({ ...one, instant: iso(one.instant) }));
      return c.json({
        ...{ normal: schedule.normal, sentence: sentence(schedule), next },
        warnings: warnings(schedule, from),
      });
    },
  }),
];
