import type { Refused } from '#core/crontab/parse.ts';
import type { Job, JobInput } from '#core/model/job.ts';
import type { Context } from './command.ts';
import { type Change, diffText } from './commands/apply.ts';
import type { Edited, SourceTag } from './crontab-sources.ts';
import { cronRuns } from './doctor/cron-too.ts';
import { machineZone, whoAmI } from './host.ts';
import { plain, shorten, table } from './terminal.ts';

export interface Taken {
  job: JobInput;
  place: string;
  source: SourceTag | null;
}
export interface Left extends Omit<Refused, 'partly'> {
  file: string;
}
interface Remark {
  place: string;
  text: string;
}
/** What all tables say. */
export interface Read {
  group: string;
  taken: Taken[];
  /** Lines that are not taken over. */
  left: Left[];
  /** What is taken over, and is not quite what it was to cron. */
  remarks: Remark[];
  sources: Set<SourceTag>;
  /** Which workers may run what is taken over, where that was asked for. */
  target: JobInput['target'] | null;
}
/** What is to be said of all that. */
export interface Told extends Read {
  changes: readonly Change[];
  /** Jobs of these tables that have no line there any more, and go on. */
  standing: readonly Job[];
  edited: readonly Edited[];
  /** Empty where nobody has to be told of them. */
  workers: readonly string[];
}

export function report(context: Context, { taken, left, remarks, changes, standing, edited }: Told): void {
  const { terminal, has } = context;
  const changed = new Map(changes.map((one) => [`${one.group}/${one.name}`, one]));
  const dry = has('dry-run');
  const colours = { create: 'green', update: 'yellow', unchanged: 'dim', delete: 'red' } as const;
  if (taken.length > 0)
    terminal.line(
      table(
        [
          '',
          'JOB',
          'SCHEDULE',
          'USER',
          'COMMAND',
          ...(changes.some(({ diff }) => diff.length > 0) ? ['WHAT'] : []),
        ],
        taken.map(({ job }) => {
          const { action = 'unchanged', diff = [] } = changed.get(`${job.group}/${job.name}`) ?? {};
          const zone =
            context.text('timezone') === undefined && job.timezone === machineZone()
              ? ''
              : ` (${job.timezone})`;
          return [
            terminal.paint(colours[action], said(action, dry)),
            `${job.group}/${job.name}`,
            plain(`${job.schedule}${zone}`),
            job.user ?? '-',
            plain(shorten(job.command ?? '', 60)),
            diffText(diff),
          ];
        }),
      ),
    );
  for (const { file, line, text, reason } of left) {
    terminal.line(`${terminal.paint('yellow', 'not taken over')}  ${file}:${line}: ${plain(reason)}`);
    terminal.line(`    ${plain(shorten(text, 200))}`);
  }
  for (const { place, text } of remarks)
    terminal.line(`${terminal.paint('yellow', 'not quite as cron')}  ${place}: ${text}`);
  for (const { group, name, action } of changes)
    if (action === 'delete')
      terminal.line(
        `${terminal.paint('red', said(action, dry))}  ${group}/${name}: no line of its table says it any more`,
      );
  for (const { group, name, schedule, command } of standing)
    terminal.line(
      `${terminal.paint('yellow', 'no line any more')}  ${group}/${name}: ${plain(`${schedule} ${shorten(command ?? '', 60)}`)}`,
    );
  for (const { job, was, settings } of edited) {
    const values = Object.entries(settings).map(([field, value]) => `${field}: ${JSON.stringify(value)}`);
    terminal.line(
      `${terminal.paint('yellow', 'edited')}  ${job.group}/${job.name}: a new job, without what was set on ${was.group}/${was.name}: ${plain(values.join('; '))}`,
    );
  }
  const count = (action: Change['action']) => changes.filter((one) => one.action === action).length;
  const counted = (action: Change['action']) => `${count(action)} ${said(action, dry)}`;
  const gone = [
    ...(count('delete') > 0 ? [counted('delete')] : []),
    ...(standing.length > 0 ? [`${standing.length} without a line any more`] : []),
  ];
  terminal.line(
    [
      ...[counted('create'), counted('update'), counted('unchanged')],
      ...gone,
      `${linesOf(left)} not taken over${dry ? ' (--dry-run: nothing was done)' : ''}`,
    ].join(', '),
  );
}

function said(action: Change['action'], dry: boolean): string {
  const done = { create: 'taken over', update: 'changed', unchanged: 'unchanged', delete: 'deleted' }[action];
  return dry && action !== 'unchanged' ? `would be ${done}` : done;
}

const linesOf = ({ length }: readonly Left[]) => `${length} ${length === 1 ? 'line' : 'lines'}`;

/** What to do next, on stderr. */
export function advise({ terminal, has }: Context, { taken, left, standing, target, workers }: Told): void {
  if (taken.length + left.length === 0) terminal.note('there was no line to read: an empty table, or none');
  if (left.length > 0)
    terminal.note(
      `${linesOf(left)} not taken over, hence exit status 1${taken.length === 0 ? '' : '; the others were'}`,
    );
  if (standing.length > 0)
    terminal.note(
      has('prune')
        ? `no job was deleted: of ${standing.length} without a line any more, the lines that could not be read may be those`
        : `${standing.length === 1 ? '1 job still runs though its line is' : `${standing.length} jobs still run though their lines are`} gone or edited; --prune deletes ${standing.length === 1 ? 'it' : 'them'} (to look first: --prune --dry-run)`,
    );
  const where = placeNote(target, workers);
  if (where !== null && !has('json')) terminal.note(where);
  if (has('dry-run') || has('json') || taken.length === 0) return;
  const others = new Set(
    taken.map(({ job }) => job.user).filter((user) => user != null && user !== whoAmI()?.name),
  );
  if (others.size > 0 && whoAmI()?.uid !== 0)
    terminal.note(
      `${[...others].join(', ')}: to run as another user the agent has to run as root; else those runs are refused, with that reason`,
    );
  if (!cronRuns()) return;
  terminal.note(
    'cron runs these lines too, until you take them out of its tables (cronfleet doctor looks for that)',
  );
}

/** On which workers the jobs may run, where that may not be what was meant; null: it is clear. */
export function placeNote(target: Read['target'], workers: readonly string[]): string | null {
  const strange = (target?.workers ?? []).filter((id) => !workers.includes(id));
  if (workers.length === 0) return null;
  if (strange.length > 0)
    return `--workers ${strange.join(',')}: there is no such worker yet, only ${workers.join(', ')}`;
  return target !== null || workers.length === 1
    ? null
    : `each of the ${workers.length} workers may run what was taken over, not only this host; --workers ID[,ID] or --labels K=V says which (${workers.slice(0, 5).join(', ')}${workers.length > 5 ? ', ...' : ''})`;
}
