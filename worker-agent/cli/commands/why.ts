import { parseInstantText, parseJobId, parseRunId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { reasonOf } from '#core/model/run.ts';
import { type Command, type Context, jsonFlag, show, Usage } from '../command.ts';
import { instantOf, timeForms } from '../instant.ts';
import { plain } from '../terminal.ts';
import { isRun, type Jobs, newestOf, type Run, timeText } from '../views.ts';
import { jobPath } from './jobs.ts';

/** As the API answers it; of a run by hand there is no instant. */
interface Why {
  instant: string | null;
  state: string;
  sentence: string;
  run: string | null;
  evidence: { at: string | null; what: string; source: string }[];
}

/** Nothing of a schedule wanted it: why it ran is that somebody asked. */
function byHand({ id, by, state, worker, startedAt, ...run }: Run): Why {
  const reason = reasonOf({ state, ...run });
  const where = worker === null ? '' : ` on ${worker}`;
  const since = startedAt === null ? '' : `, started ${timeText(startedAt)}`;
  return {
    ...{ instant: null, state, run: id, evidence: [] },
    sentence: `${by ?? 'somebody'} asked for it by hand; it is ${state}${where}${reason === '' ? '' : ` (${reason})`}${since}.`,
  };
}

async function whyRun(context: Context, id: string): Promise<unknown> {
  const { group, name, cause } = parseRunId(id);
  // A backfilled one has its order before the instant.
  const ms = parseInstantText(cause.slice(-'20261122T163500.000Z'.length));
  if (ms !== null)
    return context.api().get('/why', { job: `${group}/${name}`, instant: new Date(ms).toISOString() });
  return byHand((await context.api().get(`/runs/${encodeURIComponent(id)}`)) as Run);
}

async function whyJob(context: Context, job: string, instant: string | undefined): Promise<unknown> {
  parseJobId(job);
  const at = instant === undefined ? undefined : instantOf(instant, 'INSTANT');
  try {
    return await context.api().get('/why', { job, instant: at });
  } catch (error) {
    if (!(error instanceof Refusal && error.code === 'instant_missing')) throw error;
    const run = newestOf((await context.api().get(jobPath(job))) as Jobs);
    if (run === null || run.instant !== null) throw error;
    return byHand(run);
  }
}

export const why: Command = {
  ...{
    name: 'why',
    part: 'Runs',
    words: 'JOB [INSTANT] | RUN',
    count: [1, 2],
    summary: 'Why an instant ran, or did not; the last one unless said',
    note: `INSTANT is a time: ${timeForms}`,
  },
  example: 'cronfleet why backup 2026-11-22T02:30:00Z',
  flags: jsonFlag,
  async run(context) {
    const [asked = '', instant] = context.args;
    if (isRun(asked) && instant !== undefined)
      throw new Usage(`${JSON.stringify(instant)} is one word too many; a run has its instant in its id`);
    const found = isRun(asked) ? await whyRun(context, asked) : await whyJob(context, asked, instant);
    return show<Why>(context, found, ({ instant: at, run, sentence, evidence }) =>
      [
        `${at === null ? run : timeText(at)}: ${plain(sentence)}`,
        ...evidence.map((one) => `  ${timeText(one.at)}  ${plain(one.what)}  [${plain(one.source)}]`),
      ].join('\n'),
    );
  },
};
