import { parseJobId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import { parseSchedule } from '#core/schedule/parse.ts';
import { preview } from '#core/schedule/preview.ts';
import { sentence } from '#core/schedule/sentence.ts';
import { warnings } from '#core/schedule/warnings.ts';
import type { Api } from './api-client.ts';
import { exportJobs } from './export.ts';
import { importCrontabs } from './import.ts';
import { table } from './table.ts';

/** What a command gets, and where it writes. */
export interface Context {
  args: string[];
  flags: Record<string, string | boolean | undefined>;
  api(): Api;
  out(text: string): void;
  err(text: string): void;
  now(): number;
  sleep(ms: number): Promise<void>;
}

export interface Command {
  name: string;
  usage: string;
  summary: string;
  example: string;
  flags?: Record<string, 'string' | 'boolean'>;
  /** The exit code. */
  run(context: Context): Promise<number>;
}

/** A wrong call: exit code 2. */
export class Usage extends Error {
  override readonly name = 'Usage';
}

type Shown = Omit<Run, 'instant' | 'startedAt' | 'endedAt'> & {
  instant: string | null;
  startedAt: string | null;
  endedAt: string | null;
  durationMs: number | null;
  lateMs: number | null;
};
interface View {
  job: {
    group: string;
    name: string;
    command: string | null;
    argv: string[] | null;
    schedule: string | string[] | null;
    enabled: boolean;
    timezone: string;
  };
  paused: { by: string } | null;
  next: string[];
  last: Shown | null;
  running: Shown[];
}

const text = (value: string | boolean | undefined) => (typeof value === 'string' ? value : undefined);
const jobPath = (name: string | undefined) => {
  if (name === undefined) throw new Usage('which job? NAME or GROUP/NAME');
  const { group, name: job } = parseJobId(name);
  return `/jobs/${group}/${job}`;
};

/** Prints JSON where it is asked for, else what `human` makes of it. */
function show<T>(context: Context, value: unknown, human: (value: T) => string): number {
  context.out(context.flags.json === true ? JSON.stringify(value, null, 2) : human(value as T));
  return 0;
}

async function all<T>(api: Api, path: string, query: Record<string, string | undefined>): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = (await api.get(path, { ...query, limit: '500', cursor })) as {
      items: T[];
      next: string | null;
    };
    items.push(...page.items);
    if (page.next === null) return items;
    cursor = page.next;
  }
}

const short = (iso: string | null) => iso?.replace('T', ' ').replace(/\.000Z$/, 'Z') ?? '-';

function runRow(run: Shown): string[] {
  const took = run.durationMs === null ? '-' : `${(run.durationMs / 1000).toFixed(2)}s`;
  return [run.id, run.state, short(run.startedAt), took, run.worker ?? '-', run.reason];
}
const runHead = ['RUN', 'STATE', 'STARTED', 'TOOK', 'WORKER', 'REASON'];

/** Writes a run's log as it grows; gives the run when it has ended. */
async function follow(context: Context, run: string): Promise<Shown> {
  let from = 0;
  for (;;) {
    const part = (await context.api().get(`/runs/${run}/log`, { from: String(from), wait: '20' })) as {
      text: string;
      next: number;
      done: boolean;
    };
    if (part.text !== '') context.out(part.text.replace(/\n$/, ''));
    from = part.next;
    if (part.done) return (await context.api().get(`/runs/${run}`)) as Shown;
  }
}

/** The job's own code; 124 timed out; 125 for all that never ended by itself (API.md). */
function exitCodeOf(run: Shown): number {
  if (run.state === 'timed_out') return 124;
  return run.exitCode ?? 125;
}

const json = { json: 'boolean' } as const;

export const commands: Command[] = [
  {
    ...{
      name: 'import',
      usage: 'import FILE... [--system] [--group G] [--dry-run]',
      summary: 'Take crontabs over',
      example: 'crontab -l | cronfleet import -',
    },
    flags: { system: 'boolean', group: 'string', 'dry-run': 'boolean', json: 'boolean' },
    run: importCrontabs,
  },
  {
    ...{
      name: 'apply',
      usage: 'apply FILE... [--dry-run] [--prune --group G]',
      summary: 'Make the jobs those of YAML or JSON files',
      example: 'cronfleet apply jobs.yaml --dry-run',
    },
    flags: { 'dry-run': 'boolean', prune: 'boolean', group: 'string', json: 'boolean' },
    async run(context) {
      const { parse } = await import('yaml');
      const { readFile } = await import('node:fs/promises');
      if (context.args.length === 0) throw new Usage('which file?');
      const jobs: unknown[] = [];
      for (const file of context.args) {
        const read: unknown = parse(await readFile(file === '-' ? '/dev/stdin' : file, 'utf8'));
        if (typeof read !== 'object' || read === null || !('jobs' in read) || !Array.isArray(read.jobs))
          throw new Refusal('body_invalid', `${file}: expected jobs: and a list`);
        jobs.push(...read.jobs);
      }
      const query = new URLSearchParams({
        dryRun: String(context.flags['dry-run'] === true),
        prune: String(context.flags.prune === true),
        ...(text(context.flags.group) === undefined ? {} : { group: String(context.flags.group) }),
      });
      const answer = await context.api().send('POST', `/apply?${query}`, { jobs });
      return show<{ changes: { group: string; name: string; action: string }[] }>(
        context,
        answer,
        ({ changes }) =>
          changes.map(({ group, name, action }) => `${action.padEnd(9)} ${group}/${name}`).join('\n'),
      );
    },
  },
  {
    ...{
      name: 'export',
      usage: 'export [--crontab | --yaml] [--system] [--group G]',
      summary: 'Write the jobs as a crontab or YAML',
      example: 'cronfleet export --crontab > crontab.txt',
    },
    flags: { crontab: 'boolean', yaml: 'boolean', system: 'boolean', group: 'string' },
    run: async (context) =>
      exportJobs(
        context,
        (await all<View>(context.api(), '/jobs', { group: text(context.flags.group) })).map(({ job }) => job),
      ),
  },
  {
    ...{
      name: 'ls',
      usage: 'ls [--group G] [--q TEXT]',
      summary: 'List jobs',
      example: 'cronfleet ls --q backup',
      flags: { ...json, group: 'string', q: 'string' },
    },
    async run(context) {
      const views = await all<View>(context.api(), '/jobs', {
        group: text(context.flags.group),
        q: text(context.flags.q),
      });
      return show<View[]>(context, views, (list) =>
        list.length === 0
          ? 'No jobs yet. Import a crontab: crontab -l | cronfleet import -'
          : table(
              ['JOB', 'SCHEDULE', 'NEXT', 'LAST', ''],
              list.map(({ job, next, last, paused }) => [
                `${job.group}/${job.name}`,
                String(job.schedule ?? 'by hand'),
                short(next[0] ?? null),
                last === null ? '-' : last.state,
                !job.enabled ? 'disabled' : paused ? `paused by ${paused.by}` : '',
              ]),
            ),
      );
    },
  },
  {
    ...{
      name: 'show',
      usage: 'show JOB',
      summary: 'Show a job',
      example: 'cronfleet show backup',
      flags: json,
    },
    async run(context) {
      const view = await context.api().get(jobPath(context.args[0]));
      const { stringify } = await import('yaml');
      return show<View>(context, view, (value) => stringify(value).trimEnd());
    },
  },
  {
    ...{
      name: 'run',
      usage: 'run JOB [--follow]',
      summary: 'Run a job now',
      example: 'cronfleet run backup --follow',
      flags: { ...json, follow: 'boolean' },
    },
    async run(context) {
      const ordered = (await context.api().send('POST', `${jobPath(context.args[0])}/run`, {})) as {
        run: string;
        runs: string[];
      };
      if (context.flags.follow !== true)
        return show<typeof ordered>(context, ordered, ({ runs }) => runs.join('\n'));
      const run = await follow(context, ordered.run);
      if (run.state !== 'succeeded')
        context.err(`${run.id}: ${run.state}${run.reason ? ` (${run.reason})` : ''}`);
      return exitCodeOf(run);
    },
  },
  {
    ...{
      name: 'logs',
      usage: 'logs RUN|JOB [-f]',
      summary: "Print a run's log, or that of a job's last run",
      example: 'cronfleet logs backup -f',
      flags: { f: 'boolean' },
    },
    async run(context) {
      const [what] = context.args;
      if (what === undefined) throw new Usage('which run or job?');
      let run = what;
      if (!what.includes('~')) {
        const { items } = (await context.api().get('/runs', { job: what, limit: '1' })) as { items: Shown[] };
        const [last] = items;
        if (last === undefined) throw new Refusal('run_not_found', `${what} has not run yet`);
        run = last.id;
      }
      if (context.flags.f === true) {
        await follow(context, run);
        return 0;
      }
      const log = await (await context.api().raw(`/runs/${run}/log`, 'text/plain')).text();
      if (log !== '') context.out(log.replace(/\n$/, ''));
      return 0;
    },
  },
  {
    ...{
      name: 'runs',
      usage: 'runs [JOB] [--state S] [--limit N]',
      summary: 'List runs, newest first',
      example: 'cronfleet runs backup --state failed',
      flags: { ...json, state: 'string', limit: 'string' },
    },
    async run(context) {
      const query = {
        job: context.args[0],
        state: text(context.flags.state),
        limit: text(context.flags.limit) ?? '20',
      };
      const { items } = (await context.api().get('/runs', query)) as { items: Shown[] };
      return show<Shown[]>(context, items, (runs) => table(runHead, runs.map(runRow)));
    },
  },
  {
    ...{
      name: 'kill',
      usage: 'kill RUN',
      summary: 'Kill a run with all its children',
      example: 'cronfleet kill default~backup~20261122T163500.000Z~1',
      flags: json,
    },
    async run(context) {
      if (context.args[0] === undefined) throw new Usage('which run? cronfleet runs --state running');
      const run = await context.api().send('POST', `/runs/${context.args[0]}/kill`, {});
      return show<Shown>(context, run, ({ id }) => `${id}: asked to be killed`);
    },
  },
  {
    ...{
      name: 'pause',
      usage: 'pause JOB [--reason TEXT] [--until TIME]',
      summary: "Leave a job's schedule out",
      example: 'cronfleet pause backup --reason "disk swap"',
      flags: { ...json, reason: 'string', until: 'string' },
    },
    async run(context) {
      const body = { reason: text(context.flags.reason) ?? '', until: text(context.flags.until) ?? null };
      const view = await context.api().send('POST', `${jobPath(context.args[0])}/pause`, body);
      return show<View>(context, view, ({ job }) => `${job.group}/${job.name} is paused`);
    },
  },
  {
    ...{
      name: 'resume',
      usage: 'resume JOB',
      summary: 'Go on with its schedule',
      example: 'cronfleet resume backup',
      flags: json,
    },
    async run(context) {
      const view = await context.api().send('POST', `${jobPath(context.args[0])}/resume`, {});
      return show<View>(
        context,
        view,
        ({ job, next }) => `${job.group}/${job.name} goes on; next ${short(next[0] ?? null)}`,
      );
    },
  },
  {
    ...{
      name: 'next',
      usage: "next 'EXPR' [--timezone Z] [--count N]",
      summary: 'When an expression comes; needs no server',
      example: "cronfleet next '30 2 * * *' --timezone Europe/Berlin",
      flags: { ...json, timezone: 'string', count: 'string' },
    },
    async run(context) {
      const expr = context.args.join(' ');
      if (expr === '') throw new Usage("which expression? quote it: next '*/5 * * * *'");
      const schedule = parseSchedule(expr, { timezone: text(context.flags.timezone) ?? 'UTC' });
      const count = Number(text(context.flags.count) ?? 5);
      if (!Number.isInteger(count) || count < 1 || count > 1_000)
        throw new Usage('--count: expected a whole number from 1 to 1000');
      const next = preview(schedule, context.now(), count).map((one) => ({
        ...one,
        instant: new Date(one.instant).toISOString(),
      }));
      const value = {
        normal: schedule.normal,
        sentence: sentence(schedule),
        next,
        warnings: warnings(schedule, context.now()),
      };
      return show<typeof value>(context, value, (one) =>
        [
          one.sentence,
          ...one.next.map(({ instant, local, note }) => `${instant}  ${local}${note ? `  (${note})` : ''}`),
          ...one.warnings.map((warning) => `note: ${warning}`),
        ].join('\n'),
      );
    },
  },
  {
    ...{
      name: 'why',
      usage: 'why JOB [INSTANT]',
      summary: 'Why an instant ran, or did not',
      example: 'cronfleet why backup 2026-11-22T02:30:00Z',
      flags: json,
    },
    async run(context) {
      const [job, given] = context.args;
      const view = (await context.api().get(jobPath(job))) as View;
      const instant = given ?? (await lastInstant(context, view));
      const why = await context.api().get('/why', { job, instant });
      return show<{ sentence: string; evidence: { at: string | null; what: string; source: string }[] }>(
        context,
        why,
        ({ sentence: said, evidence }) =>
          [
            `${instant}: ${said}`,
            ...evidence.map(({ at, what, source }) => `  ${short(at)}  ${what}  [${source}]`),
          ].join('\n'),
      );
    },
  },
  {
    ...{
      name: 'workers',
      usage: 'workers',
      summary: 'List workers',
      example: 'cronfleet workers',
      flags: json,
    },
    async run(context) {
      const workers = await all<{
        id: string;
        host: string;
        state: string;
        running: number | null;
        capacity: number;
        version: string;
        lastBeat: string | null;
      }>(context.api(), '/workers', {}).catch(
        async () => ((await context.api().get('/workers')) as { items: never[] }).items,
      );
      return show<typeof workers>(context, workers, (list) =>
        table(
          ['WORKER', 'STATE', 'RUNNING', 'CAPACITY', 'VERSION', 'LAST BEAT'],
          list.map((one) => [
            one.id,
            one.state,
            String(one.running ?? '-'),
            String(one.capacity),
            one.version,
            short(one.lastBeat),
          ]),
        ),
      );
    },
  },
  {
    ...{
      name: 'drain',
      usage: 'drain WORKER [--undo]',
      summary: 'Let a worker take nothing new',
      example: 'cronfleet drain web-1',
      flags: { ...json, undo: 'boolean' },
    },
    async run(context) {
      const [worker] = context.args;
      if (worker === undefined) throw new Usage('which worker? cronfleet workers');
      const answer = await context
        .api()
        .send('POST', `/workers/${worker}/${context.flags.undo === true ? 'undrain' : 'drain'}`, {});
      return show<{ id: string; state: string }>(context, answer, ({ id, state }) => `${id}: ${state}`);
    },
  },
  {
    ...{
      name: 'token',
      usage: 'token create NAME --role R [--group G] | token ls | token revoke ID',
      summary: 'Tokens for people and programs',
      example: 'cronfleet token create grafana --role viewer',
      flags: { ...json, role: 'string', group: 'string' },
    },
    async run(context) {
      const [what, name] = context.args;
      if (what === 'ls') {
        const { items } = (await context.api().get('/tokens')) as {
          items: { id: string; name: string; role: string; groups: string[] | null; createdAt: string }[];
        };
        return show<typeof items>(context, items, (list) =>
          table(
            ['ID', 'NAME', 'ROLE', 'GROUPS', 'MADE'],
            list.map((one) => [
              one.id,
              one.name,
              one.role,
              one.groups?.join(',') ?? 'all',
              short(one.createdAt),
            ]),
          ),
        );
      }
      if (what === 'revoke' && name !== undefined)
        return show<{ id: string }>(
          context,
          await context.api().send('DELETE', `/tokens/${name}`),
          ({ id }) => `${id}: revoked`,
        );
      if (what !== 'create' || name === undefined)
        throw new Usage('token create NAME --role R, token ls, or token revoke ID');
      const group = text(context.flags.group);
      const made = await context.api().send('POST', '/tokens', {
        name,
        role: text(context.flags.role) ?? 'viewer',
        groups: group === undefined ? null : [group],
      });
      return show<{ token: string }>(context, made, ({ token }) => token);
    },
  },
  {
    ...{
      name: 'doctor',
      usage: 'doctor',
      summary: 'Look whether all is well',
      example: 'cronfleet doctor',
      flags: json,
    },
    async run(context) {
      const { diagnose } = await import('./doctor.ts');
      return diagnose(context);
    },
  },
];

/** The last instant that has come, of the job's schedule; else its last run's. */
async function lastInstant(context: Context, { job, last }: View): Promise<string> {
  if (job.schedule === null) throw new Usage(`${job.group}/${job.name} has no schedule: name an instant`);
  const schedule = parseSchedule(job.schedule, { timezone: job.timezone, seed: `${job.group}/${job.name}` });
  const at = schedule.prev(context.now());
  return at === null ? (last?.instant ?? new Date(context.now()).toISOString()) : new Date(at).toISOString();
}
