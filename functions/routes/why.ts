import * as v from 'valibot';
import { whyOf } from '#core/cluster/why.ts';
import { parseJobId } from '#core/model/ids.ts';
import { WhyAnswer } from '../answers.ts';
import { checkGroup, storeOf } from '../deps.ts';
import { jobText, time } from '../fields.ts';
import { inTime } from '../in-time.ts';
import { route } from '../route.ts';
import { isoOrNull } from '../views.ts';

export const whyRoute = route({
  ...{ method: 'GET', path: '/why', role: 'viewer', summary: 'Why an instant ran, or did not' },
  ...{ query: v.strictObject({ job: jobText, instant: time }), answer: WhyAnswer, refuses: [409] },
  async handle({ c, deps, caller, query }) {
    const job = parseJobId(query.job);
    checkGroup(caller, job.group);
    const { clock, history } = deps;
    const records = {
      covering: (...asked: Parameters<typeof history.covering>) => inTime(clock, history.covering(...asked)),
    };
    const why = await whyOf(storeOf(deps), records, job, query.instant);
    return c.json({ ...why, evidence: why.evidence.map((one) => ({ ...one, at: isoOrNull(one.at) })) });
  },
});
