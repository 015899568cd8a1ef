import { clockChangeOf } from '#core/crontab/clock-change.ts';
import { type Crontab, type CrontabOptions, parseCrontab, type Refused } from '#core/crontab/parse.ts';
import { namePattern } from '#core/model/ids.ts';
import type { JobInput } from '#core/model/job.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';
import { zoneNamed } from '#core/schedule/zone.ts';
import { type Command, type Context, jsonFlag, Usage } from '../command.ts';
import { type CrontabFile, crontabFiles } from '../crontab-files.ts';
import { flavourHere, homeOf, isProgram, machineZone, whoAmI } from '../host.ts';
import { plain, shorten, table } from '../terminal.ts';
import { applyAll, type Change } from './apply.ts';

interface Taken {
  job: JobInput;
  place: string;
}
interface Left extends Refused {
  file: string;
}

export const importCommand: Command = {
  ...{ name: 'import', part: 'Crontabs and files', words: 'FILE...', count: [0, Number.POSITIVE_INFINITY] },
  summary: 'Take crontabs over; a second time changes nothing, but sets edited jobs back to their lines',
  example: 'crontab -l | cronfleet import -        (or: sudo cronfleet import /etc/crontab /etc/cron.d)',
  flags: {
    system: { help: 'each line names its user (known by itself for /etc/crontab and /etc/cron.d)' },
    user: {
      value: 'NAME',
      help: 'whose table it is (known by itself for the tables in /var/spool/cron; else yours)',
    },
    group: { value: 'G', help: 'into this group (crontab)' },
    timezone: { value: 'ZONE', help: "in which its times are meant (this machine's)" },
    'dry-run': { help: 'only show what would be done' },
    json: jsonFlag.json,
  },
  async run(context) {
    const { args, has, terminal } = context;
    if (args.length === 0)
      throw new Usage(
        'which crontab? - reads yours from a pipe (crontab -l | cronfleet import -), a path reads a file or a folder of them',
      );
    const { taken, left } = await readTables(context);
    const dryRun = has('dry-run');
    const changes = await applyAll(
      context.api(),
      taken.map(({ job }) => job),
      { dryRun: String(dryRun) },
    ).catch((error: unknown) => {
      throw error instanceof Refusal ? placed(error, taken) : error;
    });
    const remarks = taken.flatMap(({ job, place }) => {
      const text = clockChangeOf(job, context.now());
      return text === null ? [] : [{ place, text }];
    });
    if (has('json')) terminal.line(JSON.stringify({ changes, refused: left, remarks }, null, 2));
    else report(context, taken, left, changes, remarks);
    return taken.length === 0 && left.length > 0 ? 1 : 0;
  },
};

async function readTables(context: Context): Promise<{ taken: Taken[]; left: Left[] }> {
  const { args, text, has, terminal } = context;
  const group = text('group') ?? 'crontab';
  if (!namePattern.test(group)) throw new Usage(`--group ${group}: expected 1 to 64 of [A-Za-z0-9._-]`);
  const zone = text('timezone') ?? machineZone();
  if (zone === null)
    throw new Usage("this machine's time zone has no name here; give it: --timezone Europe/Berlin");
  if (zoneNamed(zone) === null) throw new Usage(`--timezone ${zone}: expected a name such as Europe/Berlin`);
  const names = new Map<string, number>();
  const shared = { zone, group, names, homeOf, flavour: flavourHere() };
  const taken: Taken[] = [];
  const left: Left[] = [];
  for (const file of args.flatMap((path) => crontabFiles(path, terminal.note))) {
    const { jobs, refused } = await readTable(file, shared, context, has('system'));
    taken.push(...jobs.map(({ job, line }) => ({ job, place: `${file.path}:${line}` })));
    left.push(...refused.map((one) => ({ ...one, file: file.path })));
  }
  return { taken, left };
}

async function readTable(
  file: CrontabFile,
  shared: Omit<CrontabOptions, 'kind'>,
  { text, terminal }: Context,
  system: boolean,
): Promise<Crontab> {
  const kind = system || file.kind === 'system' ? 'system' : 'user';
  const owner = kind === 'system' ? undefined : (text('user') ?? file.owner ?? whoAmI()?.name);
  const read = file.read === null ? await terminal.input() : file.read;
  const table = parseCrontab(read, { ...shared, kind, ...(owner === undefined ? {} : { owner }) });
  if (kind === 'user' && file.owner === undefined && text('user') === undefined) checkUsers(file.path, table);
  return table;
}

/** A system table that was read as a user's would run `root test -x ...`. Refusal where every line's first word is a user and no program. */
function checkUsers(path: string, { jobs }: Crontab): void {
  const words = jobs.map(({ job }) => /^(\S+)\s+\S/.exec(job.command ?? '')?.[1] ?? '');
  const [first = ''] = words;
  if (first === '' || !words.every((word) => word !== '' && !isProgram(word) && homeOf(word) !== null))
    return;
  throw new Refusal(
    'table_kind_unclear',
    `${path}:${jobs[0]?.line}: ${JSON.stringify(first)} is a user here and no program, as at the beginning of every command of this table; expected --system where each line names its user, or --user NAME where these are commands`,
  );
}

/** What the server says of jobs.3 is said of the line that it came from. */
function placed(refusal: Refusal, taken: readonly Taken[]): Refusal {
  const errors = refusal.errors.map((one): Mistake => {
    const place = taken[Number(/^jobs\.(\d+)\./.exec(one.path)?.[1] ?? Number.NaN)]?.place;
    return place === undefined ? one : { ...one, message: `${place}: ${one.message}` };
  });
  return new Refusal(refusal.code, refusal.message, { errors });
}

function report(
  context: Context,
  taken: readonly Taken[],
  left: readonly Left[],
  changes: readonly Change[],
  remarks: readonly { place: string; text: string }[],
): void {
  const { terminal, has } = context;
  const actions = new Map(changes.map(({ group, name, action }) => [`${group}/${name}`, action]));
  const colours = { create: 'green', update: 'yellow', unchanged: 'dim', delete: 'red' } as const;
  if (taken.length > 0)
    terminal.line(
      table(
        ['', 'JOB', 'SCHEDULE', 'USER', 'COMMAND'],
        taken.map(({ job }) => {
          const action = actions.get(`${job.group}/${job.name}`) ?? 'unchanged';
          const said = { create: 'taken over', update: 'changed', unchanged: 'unchanged', delete: 'deleted' }[
            action
          ];
          const zone =
            context.text('timezone') === undefined && job.timezone === machineZone()
              ? ''
              : ` (${job.timezone})`;
          return [
            terminal.paint(colours[action], said),
            `${job.group}/${job.name}`,
            plain(`${job.schedule}${zone}`),
            job.user ?? '-',
            plain(shorten(job.command ?? '', 60)),
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
  const count = (action: Change['action']) => changes.filter((one) => one.action === action).length;
  const dry = has('dry-run') ? ' (--dry-run: nothing was done)' : '';
  terminal.line(
    `${count('create')} taken over, ${count('update')} changed, ${count('unchanged')} unchanged, ${left.length} ${left.length === 1 ? 'line' : 'lines'} not taken over${dry}`,
  );
  if (taken.length + left.length === 0) terminal.note('there was no line to read: an empty table, or none');
  if (has('dry-run') || taken.length === 0) return;
  const others = new Set(
    taken.map(({ job }) => job.user).filter((user) => user != null && user !== whoAmI()?.name),
  );
  if (others.size > 0 && whoAmI()?.uid !== 0)
    terminal.note(
      `${[...others].join(', ')}: to run as another user the agent has to run as root; else those runs are refused, with that reason`,
    );
  terminal.note(
    'cron runs these lines too, until you take them out of its tables (cronfleet doctor looks for that)',
  );
}
