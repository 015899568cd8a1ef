import { hostname } from 'node:os';
import { clockChangeOf } from '#core/crontab/clock-change.ts';
import { type Crontab, type CrontabOptions, parseCrontab, type Refused } from '#core/crontab/parse.ts';
import { namePattern } from '#core/model/ids.ts';
import type { Job, JobInput } from '#core/model/job.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';
import { zoneNamed } from '#core/schedule/zone.ts';
import { type Command, type Context, jsonFlag, Usage } from '../command.ts';
import { type CrontabFile, crontabFiles } from '../crontab-files.ts';
import { inFolders, reconcile, type SourceTag, sourceOf } from '../crontab-sources.ts';
import { flavourHere, homeOf, isProgram, machineZone, whoAmI } from '../host.ts';
import { plain, shorten, table } from '../terminal.ts';
import type { Jobs } from '../views.ts';
import { withoutDefaults } from '../without-defaults.ts';
import { applyAll, type Change, diffText } from './apply.ts';

interface Taken {
  job: JobInput;
  place: string;
  source: SourceTag | null;
}
interface Left extends Omit<Refused, 'partly'> {
  file: string;
}
interface Remark {
  place: string;
  text: string;
}
/** What all tables say. */
interface Read {
  group: string;
  taken: Taken[];
  /** Lines that are not taken over. */
  left: Left[];
  /** What is taken over, and is not quite what it was to cron. */
  remarks: Remark[];
  sources: Set<SourceTag>;
}
/** What is to be said of all that. */
interface Told extends Read {
  changes: readonly Change[];
  /** Jobs of these tables that have no line there any more, and go on. */
  standing: readonly Job[];
}

export const importCommand: Command = {
  ...{ name: 'import', part: 'Crontabs and files', words: 'FILE...', count: [0, Number.POSITIVE_INFINITY] },
  summary:
    'Take crontabs over; a second time only sets what a line says (command, schedule, variables, user) back to it, all else of a job stays. 1 where a line was not taken over (others were)',
  example: 'crontab -l | cronfleet import -        (or: sudo cronfleet import /etc/crontab /etc/cron.d)',
  flags: {
    system: { help: 'each line names its user (known by itself for /etc/crontab and /etc/cron.d)' },
    user: {
      value: 'NAME',
      help: 'whose table it is (known by itself for the tables in /var/spool/cron; else yours)',
    },
    group: { value: 'G', help: 'into this group (crontab)' },
    timezone: { value: 'ZONE', help: "in which its times are meant (this machine's)" },
    prune: { help: 'delete the jobs that came from these tables and have no line there any more' },
    'dry-run': { help: 'only show what would be done' },
    json: jsonFlag.json,
  },
  async run(context) {
    const { args, has, terminal } = context;
    if (args.length === 0)
      throw new Usage(
        'which crontab? - reads yours from a pipe (crontab -l | cronfleet import -), a path reads a file or a folder of them',
      );
    const read = await readTables(context);
    const { group, left, remarks } = read;
    const { changes, standing } = await bringIn(context, read);
    if (has('json')) {
      const names = standing.map(({ name }) => ({ group, name }));
      terminal.line(JSON.stringify({ changes, refused: left, remarks, gone: names }, null, 2));
    } else report(context, { ...read, changes, standing });
    advise(context, { ...read, changes, standing });
    return left.length > 0 ? 1 : 0;
  },
};

/** Many hosts may import the same lines at a time, and each marks them as its own: of all at once one gets through, until a job has all the tags it can have. */
const tries = 200;

/** Makes the jobs of the group what the tables say, by how they stand: where others change them meanwhile, by how they stand then. */
async function bringIn(context: Context, read: Read): Promise<Pick<Told, 'changes' | 'standing'>> {
  const { args, has } = context;
  const { group, taken, left, sources } = read;
  const isGone = inFolders(args, hostname());
  const isOf = (tag: SourceTag) => sources.has(tag) || isGone(tag);
  const prunes = has('prune') && left.every(({ text }) => neverRan.test(text));
  for (let attempt = 1; ; attempt += 1) {
    const there = await context.api().all<Jobs>('/jobs', { group });
    const found = reconcile(
      there.map(({ job }) => job),
      taken,
      isOf,
    );
    const jobs = [...found.jobs, ...(prunes ? found.elsewhere : [])];
    const gone = prunes ? found.gone : [];
    const revisions = new Map(there.map(({ job, revision }) => [job.name, revision]));
    const seen = [...jobs, ...gone].map(({ name }) => [`${group}/${name}`, revisions.get(name) ?? null]);
    try {
      const changes = await applyAll(
        context.api(),
        jobs.map(withoutDefaults),
        { dryRun: String(has('dry-run')) },
        gone.map(({ name }) => `${group}/${name}`),
        Object.fromEntries(seen),
      );
      return { changes, standing: prunes ? [] : found.gone };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code !== 'revision_conflict') throw placed(error, taken);
      if (attempt === tries)
        throw new Refusal(
          'conflict',
          `the jobs of group ${group} are being changed by others at the moment, ${tries} times in a row; try again`,
        );
    }
  }
}

/** What was no job before either: that it is refused hides none that has lost its line. */
const neverRan = /^@reboot(?:\s|$)/;

async function readTables(context: Context): Promise<Read> {
  const { args, text, terminal } = context;
  const group = text('group') ?? 'crontab';
  if (!namePattern.test(group)) throw new Usage(`--group ${group}: expected 1 to 64 of [A-Za-z0-9._-]`);
  const zone = text('timezone') ?? machineZone();
  if (zone === null)
    throw new Usage("this machine's time zone has no name here; give it: --timezone Europe/Berlin");
  if (zoneNamed(zone) === null) throw new Usage(`--timezone ${zone}: expected a name such as Europe/Berlin`);
  const names = new Map<string, number>();
  const shared = { zone, group, names, homeOf, flavour: flavourHere() };
  const all: Read = { group, taken: [], left: [], remarks: [], sources: new Set() };
  for (const file of args.flatMap((path) => crontabFiles(path, terminal.note))) {
    const { jobs, refused, source } = await readTable(file, shared, context);
    if (source !== null) all.sources.add(source);
    for (const { job, line } of jobs) {
      const place = `${file.path}:${line}`;
      all.taken.push({ job, place, source });
      const text = clockChangeOf(job, context.now());
      if (text !== null) all.remarks.push({ place, text });
    }
    for (const { partly, ...one } of refused)
      if (partly) all.remarks.push({ place: `${file.path}:${one.line}`, text: one.reason });
      else all.left.push({ ...one, file: file.path });
  }
  return all;
}

async function readTable(
  file: CrontabFile,
  shared: Omit<CrontabOptions, 'kind'>,
  { text, has, terminal }: Context,
): Promise<Crontab & { source: SourceTag | null }> {
  const kind = has('system') || file.kind === 'system' ? 'system' : 'user';
  const owner = kind === 'system' ? undefined : (text('user') ?? file.owner ?? whoAmI()?.name);
  const source = sourceOf(file, owner, hostname());
  const read = file.read === null ? await terminal.input() : file.read;
  if (has('prune')) checkPrunable(file.path, source, read);
  const table = parseCrontab(read, { ...shared, kind, ...(owner === undefined ? {} : { owner }) });
  if (kind === 'user' && file.owner === undefined && text('user') === undefined) checkUsers(file.path, table);
  return { ...table, source };
}

/** What is not known to be a whole table says of no job that it has lost its line. */
function checkPrunable(path: string, source: SourceTag | null, read: string): void {
  if (source === null)
    throw new Usage(`--prune: whose lines ${path} has is not known; name the file of this system table`);
  // `crontab -l` writes nothing where it fails, too.
  if (path === '-' && read === '')
    throw new Refusal(
      'table_empty',
      `${path}: nothing was read, not even a comment, and --prune would delete every job of this table; to do that: cronfleet delete JOB`,
    );
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

function report(context: Context, { taken, left, remarks, changes, standing }: Told): void {
  const { terminal, has } = context;
  const changed = new Map(changes.map((one) => [`${one.group}/${one.name}`, one]));
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
        `${terminal.paint('red', 'deleted')}  ${group}/${name}: no line of its table says it any more`,
      );
  for (const { group, name, schedule, command } of standing)
    terminal.line(
      `${terminal.paint('yellow', 'no line any more')}  ${group}/${name}: ${plain(`${schedule} ${shorten(command ?? '', 60)}`)}`,
    );
  const count = (action: Change['action']) => changes.filter((one) => one.action === action).length;
  const dry = has('dry-run') ? ' (--dry-run: nothing was done)' : '';
  const gone = [
    ...(count('delete') > 0 ? [`${count('delete')} deleted`] : []),
    ...(standing.length > 0 ? [`${standing.length} without a line any more`] : []),
  ];
  terminal.line(
    [
      `${count('create')} taken over, ${count('update')} changed, ${count('unchanged')} unchanged`,
      ...gone,
      `${linesOf(left)} not taken over${dry}`,
    ].join(', '),
  );
}

const linesOf = ({ length }: readonly Left[]) => `${length} ${length === 1 ? 'line' : 'lines'}`;

/** What to do next, on stderr. */
function advise({ terminal, has }: Context, { taken, left, standing }: Told): void {
  if (taken.length + left.length === 0) terminal.note('there was no line to read: an empty table, or none');
  if (left.length > 0)
    terminal.note(
      `${linesOf(left)} not taken over, hence exit status 1${taken.length === 0 ? '' : '; the others were'}`,
    );
  if (standing.length > 0)
    terminal.note(
      has('prune')
        ? `no job was deleted: of ${standing.length} without a line any more, the lines that could not be read may be those`
        : `${standing.length} ${standing.length === 1 ? 'job goes' : 'jobs go'} on though no line of these tables says so any more, beside what an edited line has become; --prune deletes them, --prune --dry-run shows that first`,
    );
  if (has('dry-run') || has('json') || taken.length === 0) return;
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
