import { hostname } from 'node:os';
import { clockChangeOf } from '#core/crontab/clock-change.ts';
import { type Crontab, type CrontabOptions, parseCrontab } from '#core/crontab/parse.ts';
import { namePattern } from '#core/model/ids.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';
import { zoneNamed } from '#core/schedule/zone.ts';
import { Unreachable } from '../api-client.ts';
import { type Command, type Context, jsonFlag, Usage } from '../command.ts';
import { type CrontabFile, crontabFiles } from '../crontab-files.ts';
import { editedLines, inFolders, reconcile, type SourceTag, sourceOf } from '../crontab-sources.ts';
import { flavourHere, homeOf, isProgram, machineZone, whoAmI } from '../host.ts';
import { advise, type Read, report, type Taken, type Told } from '../import-report.ts';
import { targetOf } from '../target-flags.ts';
import type { Jobs } from '../views.ts';
import { withoutDefaults } from '../without-defaults.ts';
import { applyAll } from './apply.ts';

export const importCommand: Command = {
  ...{ name: 'import', part: 'Crontabs and files', words: 'FILE...', count: [0, Number.POSITIVE_INFINITY] },
  summary:
    'Take crontabs over; a second time sets back what a line says of its job, and leaves the rest. 1 where a line was not taken over (others were)',
  example: 'crontab -l | cronfleet import -        (or: sudo cronfleet import /etc/crontab /etc/cron.d)',
  flags: {
    system: { help: 'each line names its user (known by itself for /etc/crontab and /etc/cron.d)' },
    user: {
      value: 'NAME',
      help: 'whose table it is (known by itself for the tables in /var/spool/cron; else yours)',
    },
    group: { value: 'G', help: 'into this group (crontab)' },
    timezone: { value: 'ZONE', help: "in which its times are meant (this machine's)" },
    workers: { value: 'ID,...', help: 'only these workers may run the jobs (any may)' },
    labels: { value: 'K=V,...', help: 'only workers of these labels may run the jobs' },
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
    const { changes, standing, edited } = await bringIn(context, read);
    if (has('json')) {
      const names = standing.map(({ name }) => ({ group, name }));
      const lines = edited.map(({ job, was, settings }) => ({
        group,
        name: job.name,
        was: was.name,
        settings,
      }));
      terminal.line(JSON.stringify({ changes, refused: left, remarks, gone: names, edited: lines }, null, 2));
    }
    const isNew = changes.some(({ action }) => action === 'create');
    const workers = !has('json') && (isNew || read.target !== null) ? await workersOf(context) : [];
    const told = { ...read, changes, standing, edited, workers };
    if (!has('json')) report(context, told);
    advise(context, told);
    return left.length > 0 ? 1 : 0;
  },
};

/** Who can be given runs. None where the server does not say: what was asked for is done all the same. */
async function workersOf({ api }: Context): Promise<string[]> {
  try {
    const { items } = (await api().get('/workers')) as { items: { id: string; state: string }[] };
    return items.filter(({ state }) => state !== 'dead').map(({ id }) => id);
  } catch (error) {
    if (error instanceof Unreachable || error instanceof Refusal) return [];
    throw error;
  }
}

/** Many hosts may import the same lines at a time, and each marks them as its own: of all at once one gets through, until a job has all the tags it can have. */
const tries = 200;

/** Makes the jobs of the group what the tables say, by how they stand: where others change them meanwhile, by how they stand then. */
async function bringIn(context: Context, read: Read): Promise<Pick<Told, 'changes' | 'standing' | 'edited'>> {
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
    const fresh = taken.filter(({ job }) => !revisions.has(job.name));
    const edited = editedLines(found.gone, fresh);
    const seen = [...jobs, ...gone].map(({ name }) => [`${group}/${name}`, revisions.get(name) ?? null]);
    try {
      const changes = await applyAll(
        context.api(),
        jobs.map(withoutDefaults),
        { dryRun: String(has('dry-run')) },
        gone.map(({ name }) => `${group}/${name}`),
        Object.fromEntries(seen),
      );
      return { changes, standing: prunes ? [] : found.gone, edited };
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
  const target = targetOf(text('workers'), text('labels'));
  const names = new Map<string, number>();
  const shared = { zone, group, names, homeOf, flavour: flavourHere() };
  const all: Read = { group, taken: [], left: [], remarks: [], sources: new Set(), target };
  for (const file of args.flatMap((path) => crontabFiles(path, terminal.note))) {
    const { jobs, refused, source } = await readTable(file, shared, context);
    if (source !== null) all.sources.add(source);
    for (const { job, line } of jobs) {
      const place = `${file.path}:${line}`;
      all.taken.push({ job: target === null ? job : { ...job, target }, place, source });
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
