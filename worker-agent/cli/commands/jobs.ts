import { stringify } from 'yaml';
import { parseJobId } from '#core/model/ids.ts';
import { type Command, type Context, jsonFlag, show } from '../command.ts';
import { followRuns } from '../follow.ts';
import { machineZone } from '../host.ts';
import { instantOf, timeForms } from '../instant.ts';
import { plain, shorten, table } from '../terminal.ts';
import {
  commandText,
  type Jobs,
  lacksHistory,
  noteAway,
  scheduleText,
  stateText,
  timeText,
} from '../views.ts';

/** The path of a job that somebody named: NAME (group default) or GROUP/NAME. */
export function jobPath(text: string | undefined): string {
  const { group, name } = parseJobId(text ?? '');
  return `/jobs/${group}/${name}`;
}

const idOf = ({ job: { group, name } }: Jobs) => (group === 'default' ? name : `${group}/${name}`);

/** Of a command so much is listed; `show` has all of it. */
const mostOfCommand = 40;

/** A schedule, with its zone where that is neither UTC nor the one of this machine. */
function whenText(job: Jobs['job'], here: string | null): string {
  const isTold = job.schedule !== null && job.timezone !== 'UTC' && job.timezone !== here;
  return `${scheduleText(job)}${isTold ? ` ${plain(job.timezone)}` : ''}`;
}

export const jobCommands: readonly Command[] = [
  {
    ...{ name: 'ls', part: 'Jobs', words: '', count: [0, 0], summary: 'List jobs' },
    example: 'cronfleet ls --state failed',
    flags: {
      group: { value: 'G', help: 'of this group' },
      q: { value: 'TEXT', help: 'with this in name, command, owner or description' },
      tag: { value: 'TAG', help: 'with this tag' },
      state: { value: 'STATE', help: 'whose last run is in this state' },
      worker: { value: 'ID', help: 'that this worker may run' },
      ...jsonFlag,
    },
    async run(context) {
      const { text, terminal } = context;
      const query = Object.fromEntries(
        ['group', 'q', 'tag', 'state', 'worker'].map((name) => [name, text(name)]),
      );
      const found = await context.api().all<Jobs>('/jobs', query);
      if (found.length === 0 && !context.has('json')) {
        const any = Object.values(query).some((value) => value !== undefined);
        terminal.note(
          any ? 'no job is like that' : 'no jobs yet. Take a crontab over: crontab -l | cronfleet import -',
        );
        return 0;
      }
      if (found.some(lacksHistory)) noteAway(terminal, 'how jobs last ended is left out. What runs, runs on');
      const here = machineZone();
      return show<Jobs[]>(context, found, (list) =>
        table(
          ['JOB', 'SCHEDULE', 'NEXT', 'LAST', '', 'COMMAND'],
          list.map((view) => {
            const { job, next, last, paused, running } = view;
            const notes = [
              ...(job.enabled ? [] : ['disabled']),
              ...(paused === null
                ? []
                : [
                    `paused by ${plain(paused.by)}${paused.until === null ? '' : ` until ${timeText(paused.until)}`}`,
                  ]),
              ...(running.length === 0 ? [] : [`${running.length} running`]),
            ];
            const unknown = lacksHistory(view) ? '?' : '-';
            const state = last === null ? unknown : stateText(terminal, last.state);
            const command = shorten(commandText(job), mostOfCommand);
            return [idOf(view), whenText(job, here), timeText(next[0]), state, notes.join(', '), command];
          }),
        ),
      );
    },
  },
  {
    ...{ name: 'show', part: 'Jobs', words: 'JOB', count: [1, 1], summary: 'Show a job with all its fields' },
    example: 'cronfleet show crontab/backup-3f9a01',
    flags: jsonFlag,
    async run(context) {
      const view = (await context.api().get(jobPath(context.args[0]))) as Jobs;
      if (lacksHistory(view)) noteAway(context.terminal, 'how it last ended is left out. What runs, runs on');
      return show(context, view, (value) => stringify(value).trimEnd());
    },
  },
  {
    ...{ name: 'run', part: 'Jobs', words: 'JOB', count: [1, 1], summary: 'Run a job now' },
    example: 'cronfleet run backup --follow && echo "it is saved"',
    flags: {
      follow: {
        help: "print its output as it comes, and end with the job's own exit code (124: timed out, 125: did not end by itself)",
      },
      worker: { value: 'ID', help: 'on this worker' },
      ...jsonFlag,
    },
    async run(context) {
      const { text, terminal } = context;
      const worker = text('worker');
      const ordered = (await context
        .api()
        .send('POST', `${jobPath(context.args[0])}/run`, worker === undefined ? {} : { worker })) as {
        order: string;
        runs: string[];
      };
      if (context.has('follow')) return followOrdered(context, ordered.runs);
      show<typeof ordered>(context, ordered, ({ runs }) => runs.join('\n'));
      if (!context.has('json')) terminal.note(`its output: cronfleet logs ${ordered.runs[0]} -f`);
      return 0;
    },
  },
  {
    ...{
      name: 'pause',
      part: 'Jobs',
      words: 'JOB',
      count: [1, 1],
      summary: "Leave out a job's instants until it is resumed",
    },
    example: 'cronfleet pause backup --reason "disk swap" --until 2026-11-23T06:00:00+01:00',
    flags: {
      reason: { value: 'TEXT', help: 'kept with it' },
      until: { value: 'TIME', help: `goes on by itself then: ${timeForms}` },
      ...jsonFlag,
    },
    async run(context) {
      const until = context.text('until');
      const body = {
        reason: context.text('reason') ?? '',
        until: until === undefined ? null : instantOf(until, '--until'),
      };
      const view = await context.api().send('POST', `${jobPath(context.args[0])}/pause`, body);
      return show<Jobs>(
        context,
        view,
        (one) => `${idOf(one)} is paused${one.paused?.until ? ` until ${timeText(one.paused.until)}` : ''}`,
      );
    },
  },
  {
    ...{ name: 'resume', part: 'Jobs', words: 'JOB', count: [1, 1], summary: 'Let a paused job go on' },
    example: 'cronfleet resume backup',
    flags: jsonFlag,
    async run(context) {
      const view = await context.api().send('POST', `${jobPath(context.args[0])}/resume`);
      return show<Jobs>(context, view, (one) => `${idOf(one)} goes on; next ${timeText(one.next[0])}`);
    },
  },
  {
    ...{ name: 'delete', part: 'Jobs', words: 'JOB', count: [1, 1], summary: 'Delete a job' },
    example: 'cronfleet delete crontab/backup-3f9a01',
    async run(context) {
      const path = jobPath(context.args[0]);
      await context.api().send('DELETE', path);
      context.terminal.note(`${path.slice('/jobs/'.length)} is deleted; what runs of it ends by itself`);
      return 0;
    },
  },
];

/** What was ordered runs, whatever becomes of this: asked for once more it would run twice. */
async function followOrdered(context: Context, runs: readonly string[]): Promise<number> {
  try {
    return await followRuns(context, runs);
  } catch (error) {
    context.terminal.note(
      `${runs.join(', ')} was ordered and goes on; its output: cronfleet logs ${runs[0]} -f`,
    );
    throw error;
  }
}
