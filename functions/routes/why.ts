import * as v from 'valibot';
import { lastDue, whyOf } from '#core/cluster/why.ts';
import { parseJobId } from '#core/model/ids.ts';
import type { History } from '#core/ports/history.ts';
import { WhyAnswer } from '../answers.ts';
import { checkGroup, storeOf } from '../deps.ts';
import { jobText, time } from '../fields.ts';
import { inTime } from '../in-time.ts';
import { route } from '../route.ts';
import { iso, isoOrNull } from '../views.ts';

export const whyRoute = route({
  ...{ method: 'GET', path: '/why', role: 'viewer', summary: 'Why an instant ran, or did not' },
  ...{ query: v.strictObject({ job: jobText, instant: v.optional(time) }) },
  ...{ answer: WhyAnswer, refuses: [404, 409] },
  async handle({ c, deps, caller, query }) {
    const job = parseJobId(query.job);
    checkGroup(caller, job.group);
    const { clock, history } = deps;
    const records: Pick<History, 'covering' | 'runs' | 'latest'> = {
      covering: (...asked) => inTime(clock, history.covering(...asked)),
      runs: (asked) => inTime(clock, history.runs(asked)),
      latest: (jobs) => inTime(clock, history.latest(jobs)),
    };
    const store = storeOf(deps);
    const instant = query.instant ?? (await lastDue(store, records, job));
    const why = await whyOf(store, records, job, instant);
    return c.json({
      instant: iso(instant),
      ...why,
      evidence: why.evidence.map((one) => ({ ...one, at: isoOrNull(one.at) })),
    });
  },
});
