import { asTerminal } from '#core/model/as-terminal.ts';
import { parseJobId, parseRunId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { reasonOf } from '#core/model/run.ts';
import { Unreachable } from '../api-client.ts';
import { type Command, type Context, jsonFlag, show, Usage } from '../command.ts';
import { follow, writeLog } from '../follow.ts';
import { instantOf, timeForms } from '../instant.ts';
import { type FoundLine, search } from '../search.ts';
import { plain, table } from '../terminal.ts';
import {
  isRun,
  type Jobs,
  lacksHistory,
  newestOf,
  type Run,
  stateText,
  timeText,
  tookText,
} from '../views.ts';
import { jobPath } from './jobs.ts';
import { why } from './why.ts';

/** A run by its id, or the last one of a job. */
async function runNamed(context: Context, text: string): Promise<string> {
  if (isRun(text)) {
    parseRunId(text);
    return text;
  }
  const { group, name } = parseJobId(text);
  const view = (await context.api().get(jobPath(text))) as Jobs;
  const run = newestOf(view);
  if (run === null && lacksHistory(view))
    throw new Unreachable(
      `which run of ${group}/${name} was its last the history knows, and it does not answer the server at the moment`,
    );
  if (run === null)
    throw new Refusal(
      'run_not_found',
      `${group}/${name} has not run yet; to run it now: cronfleet run ${text}`,
    );
  return run.id;
}

export const runCommands: readonly Command[] = [
  {
    ...{
      name: 'runs',
      part: 'Runs',
      words: '[JOB]',
      count: [0, 1],
      summary: 'List runs, newest first, and instants that did not run',
    },
    example: 'cronfleet runs backup --state failed --limit 5',
    flags: {
      state: {
        value: 'STATE',
        help: 'in this state: succeeded, failed, timed_out, killed, lost, skipped, missed, running, ...',
      },
      from: { value: 'TIME', help: `of instants from then on: ${timeForms}` },
      to: { value: 'TIME', help: 'of instants before, written alike' },
      worker: { value: 'ID', help: 'on this worker' },
      limit: { value: 'N', help: 'at most so many (20)' },
      ...jsonFlag,
    },
    async run(context) {
      const { text, terminal, args } = context;
      const time = (name: string) => {
        const given = text(name);
        return given === undefined ? undefined : instantOf(given, `--${name}`);
      };
      const query = {
        ...{ state: text('state'), from: time('from'), to: time('to'), worker: text('worker') },
        job: args[0],
        limit: text('limit') ?? '20',
      };
      const { items } = (await context.api().get('/runs', query)) as { items: Run[] };
      // Runs outlive their job; where there are none, the job itself may be what is not there.
      if (items.length === 0 && args[0] !== undefined) await context.api().get(jobPath(args[0]));
      if (items.length === 0 && !context.has('json')) {
        terminal.note('no run is like that');
        return 0;
      }
      return show<Run[]>(context, items, (runs) =>
        table(
          ['RUN', 'STATE', 'STARTED', 'TOOK', 'WORKER', 'REASON'],
          runs.map((run) => [
            run.id,
            stateText(terminal, run.state) + (run.count > 1 ? ` x${run.count}` : ''),
            timeText(run.startedAt),
            tookText(run.durationMs),
            run.worker ?? '-',
            plain(reasonOf(run)),
          ]),
        ),
      );
    },
  },
  {
    ...{
      name: 'logs',
      part: 'Runs',
      words: 'RUN | JOB',
      count: [1, 1],
      summary: "Print a run's output, or that of a job's last run",
    },
    example: 'cronfleet logs backup -f',
    flags: { f: { help: 'go on as it comes, until the run has ended' } },
    async run(context) {
      const run = await runNamed(context, context.args[0] ?? '');
      if (context.has('f')) {
        await follow(context, run);
        return 0;
      }
      await writeLog(context, run);
      return 0;
    },
  },
  {
    ...{ name: 'search', part: 'Runs', words: 'JOB TEXT', count: [2, 2] },
    summary: "Find lines in a job's logs, newest run first",
    example: "cronfleet search backup 'No space left' --days 30",
    flags: {
      days: { value: 'N', help: 'in runs of the last N days (7)' },
      limit: { value: 'N', help: 'at most so many lines (all)' },
      ...jsonFlag,
    },
    async run(context) {
      const { terminal } = context;
      const [job = '', text = ''] = context.args;
      const limit = context.text('limit');
      if (limit !== undefined && !/^[1-9]\d{0,8}$/.test(limit))
        throw new Usage(`--limit ${limit}: expected a whole number, at least 1`);
      const query = { text, days: context.text('days') ?? '7' };
      const most = Number(limit ?? Number.POSITIVE_INFINITY);
      const found: FoundLine[] = [];
      let isHeaded = false;
      const complete = await search(context, jobPath(job), query, most, (lines) => {
        if (context.has('json')) {
          found.push(...lines);
          return;
        }
        const rows = table(
          ['RUN', 'LINE'],
          lines.map(({ run, line }) => [run, plain(asTerminal(line))]),
        );
        terminal.line(isHeaded ? rows.slice(rows.indexOf('\n') + 1) : rows);
        isHeaded = true;
      });
      if (context.has('json')) return show(context, { lines: found, complete }, String);
      if (isHeaded) return 0;
      // Logs outlive their job; where nothing is found, the job itself may be what is not there.
      await context.api().get(jobPath(job));
      terminal.note('no line is like that');
      return 0;
    },
  },
  {
    ...{
      name: 'kill',
      part: 'Runs',
      words: 'RUN',
      count: [1, 1],
      summary: 'Kill a run with all its children',
    },
    example: 'cronfleet kill default~backup~20261122T163500.000Z~1',
    flags: {
      signal: { value: 'NAME', help: "begin with this one (the job's killSignal)" },
      grace: { value: 'DURATION', help: "so long until KILL (the job's killGrace)" },
      ...jsonFlag,
    },
    async run(context) {
      const { text, args } = context;
      const id = args[0] ?? '';
      if (!isRun(id))
        throw new Refusal(
          'run_id_invalid',
          `${id} is no run; its living runs: cronfleet runs ${id} --state running`,
        );
      parseRunId(id);
      const body = {
        signal: text('signal')?.toUpperCase().replace(/^SIG/, '') ?? null,
        grace: text('grace') ?? null,
      };
      const run = await context.api().send('POST', `/runs/${encodeURIComponent(id)}/kill`, body);
      return show<Run>(context, run, ({ state }) =>
        state === 'killed' ? `${id} is killed` : `${id} is being killed; how far that is: cronfleet runs`,
      );
    },
  },
  why,
];
