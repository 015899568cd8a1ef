import type { Job } from '#core/model/job.ts';
import { cronFault } from './fields.ts';
import { type Flavour, joinCommand } from './input.ts';
import { losses, obstacle, schedulesOf } from './losses.ts';
import { cronPath } from './parse.ts';
import { own, remarkLines } from './remark.ts';
import { writeVariable } from './variable.ts';

export interface FormatOptions {
  /** system: with the user column. */
  kind: 'user' | 'system';
  /** The zone of the machine whose cron shall read it: its lines need no CRON_TZ. */
  zone: string;
  /** Whose table a user's one is; other users' jobs are not put into it. */
  owner?: string;
  homeOf?: (user: string) => string | null;
  flavour?: Flavour;
}

/** A job that has its lines, before it is known which variables stand above it. */
interface Draft {
  job: Job;
  lines: string[];
  user: string | null;
  /** Everything that its command is to find, but for LOGNAME, which cron sets. */
  env: Map<string, string>;
}

/** Shells whose words `export` and `cd` are. */
const posixShell = /(?:^|\/)(?:ba|da|a|k|mk|z)?sh$/;
/** What every table begins with, unless it says otherwise. */
const given = new Map([
  ['SHELL', '/bin/sh'],
  ['PATH', cronPath],
]);

/**
 * A crontab that means the same as these jobs, as far as a crontab can: what it can't say of a job stands above its lines in a comment
 * that begins with `#:`, and a job that it can't hold at all in one at the end, with the reason. What parseCrontab made comes back as
 * it was, under the same names.
 */
export function formatCrontab(jobs: readonly Job[], options: FormatOptions): string {
  const drafts: Draft[] = [];
  const left: string[] = [];
  for (const job of jobs) {
    const draft = draftOf(job, options);
    if (typeof draft === 'string') left.push(`${own}${job.group}/${job.name} is not here: it ${draft}`);
    else drafts.push(draft);
  }
  const table = new Table(options);
  const { single, chain } = chained(drafts);
  for (const draft of byZone(single, table.zone)) {
    const why = table.writeAlone(draft);
    if (why !== null) left.push(`${own}${draft.job.group}/${draft.job.name} is not here: it ${why}`);
  }
  for (const alike of Map.groupBy(chain, ({ env }) => env.size).values())
    for (const draft of byZone(alike, table.zone)) table.write(draft);
  const gap = table.lines.length > 0 && left.length > 0 ? [''] : [];
  return [...table.lines, ...gap, ...left, ''].join('\n');
}

function draftOf(job: Job, options: FormatOptions): Draft | string {
  const { kind, owner, homeOf, flavour = 'vixie' } = options;
  const user = job.user ?? job.env.LOGNAME ?? owner ?? null;
  const why = obstacle(job);
  if (why !== null) return why;
  if (kind === 'user' && owner !== undefined && user !== owner)
    return `runs as ${user}, and this is the table of ${owner}`;
  if (kind === 'system' && user === null) return 'names no user, and a system table has to';
  if (user !== null && job.env.LOGNAME !== undefined && job.env.LOGNAME !== user)
    return `sets LOGNAME to ${job.env.LOGNAME}, and cron sets that itself`;
  const text = joinCommand({ command: job.command ?? '', stdin: job.stdin }, flavour);
  if (text === null) return 'has a command or an input that no single line of a crontab says';
  if (kind === 'user' && text.startsWith('*'))
    return 'has a command that begins with *, which cron takes for a sixth field';
  for (const schedule of schedulesOf(job)) {
    const fault = cronFault(schedule, job.timezone);
    if (fault !== null) return `has a schedule that cron would not read: ${fault}`;
  }
  const { LOGNAME: _, ...named } = job.env;
  const home = named.HOME ?? (user === null ? null : (homeOf?.(user) ?? null));
  const env = new Map([
    ...given,
    ...(home === null ? [] : [['HOME', home] as const]),
    ...Object.entries(named),
  ]);
  env.set('SHELL', job.shell);
  const odd = [...env].find(([name, value]) => writeVariable({ name, value }) === null);
  if (odd !== undefined) return `has a value of ${odd[0]} that no line of a crontab says`;
  const column = kind === 'system' ? `${user} ` : '';
  const folder = job.cwd === null || job.cwd === home ? '' : `cd ${shellWord(job.cwd, flavour)} || exit; `;
  if (folder !== '' && !posixShell.test(job.shell))
    return `runs in ${job.cwd}, which ${job.shell} can't be told in a line`;
  return { job, user, env, lines: schedulesOf(job).map((one) => `${one} ${column}${folder}${text}`) };
}

/**
 * A variable can't be unset further down. So: a chain of jobs of which each has all the variables of the one before; the rest stand
 * above it and bring their variables along in their commands. One table's jobs make one chain, in their own order.
 */
function chained(drafts: readonly Draft[]): { single: Draft[]; chain: Draft[] } {
  const single: Draft[] = [];
  const chain: Draft[] = [];
  let needed: ReadonlySet<string> = new Set();
  for (const draft of [...drafts].sort((a, b) => a.env.size - b.env.size)) {
    const has = new Set(draft.env.keys());
    if (![...needed].every((name) => has.has(name))) single.push(draft);
    else {
      chain.push(draft);
      needed = has;
    }
  }
  return { single, chain };
}

/**
 * The jobs of one zone together, those of `zone` first, so that CRON_TZ changes as seldom as it can. Equal lines keep their order, by which
 * they are numbered when they are read.
 */
function byZone(drafts: readonly Draft[], zone: string): Draft[] {
  const sorted: Draft[] = [];
  let left = drafts;
  for (let now = zone; left.length > 0; now = left[0]?.job.timezone ?? now) {
    const rest: Draft[] = [];
    const waiting = new Set<string>();
    for (const draft of left)
      if (draft.job.timezone === now && !draft.lines.some((line) => waiting.has(line))) sorted.push(draft);
      else {
        rest.push(draft);
        for (const line of draft.lines) waiting.add(line);
      }
    left = rest;
  }
  return sorted;
}

/** The lines so far, and what they have set. */
class Table {
  readonly lines: string[] = [];
  readonly #options: FormatOptions;
  readonly #standing = new Map(given);
  /** In which the next line would be read. */
  zone: string;

  constructor(options: FormatOptions) {
    this.#options = options;
    this.zone = options.zone;
  }

  write(draft: Draft): void {
    const head = this.#head(draft);
    for (const [name, value] of draft.env)
      if (this.#value(name, draft) !== value) {
        this.#standing.set(name, value);
        head.push(writeVariable({ name, value }) ?? '');
      }
    this.#put(head, draft, draft.lines);
  }

  /** With only what cron knows by itself above it, the rest in the command; gives why that can't be done, or null. */
  writeAlone(draft: Draft): string | null {
    const { kind, flavour = 'vixie' } = this.#options;
    const more = [...draft.env].filter(
      ([name, value]) => name !== 'SHELL' && this.#value(name, draft) !== value,
    );
    if (more.length > 0 && !posixShell.test(draft.job.shell))
      return `must not see the variables of the others, and ${draft.job.shell} can't be told its own in a line`;
    const head = this.#head(draft);
    if (this.#standing.get('SHELL') !== draft.job.shell) {
      this.#standing.set('SHELL', draft.job.shell);
      head.push(writeVariable({ name: 'SHELL', value: draft.job.shell }) ?? '');
    }
    const set = more.map(([name, value]) => `${name}=${shellWord(value, flavour)}`).join(' ');
    const words = (draft.lines[0] ?? '').startsWith('@') ? 1 : 5;
    const pattern = new RegExp(`^((?:\\S+ ){${words + (kind === 'system' ? 1 : 0)}})`);
    this.#put(
      head,
      draft,
      set === ''
        ? draft.lines
        : draft.lines.map((line) => line.replace(pattern, (all) => `${all}export ${set}; `)),
    );
    return null;
  }

  #head({ job }: Draft): string[] {
    const head: string[] = [];
    const lost = losses(job);
    if (lost.length > 0) head.push(`${own}${job.group}/${job.name} is here without ${lost.join(', ')}`);
    if (job.timezone !== this.zone) {
      this.zone = job.timezone;
      head.push(
        `${own}CRON_TZ is cronie's; Debian's cron reads the lines below in its own zone`,
        `CRON_TZ=${job.timezone}`,
      );
    }
    return head;
  }

  #value(name: string, { user }: Draft): string | null | undefined {
    const home = () => (user === null ? null : (this.#options.homeOf?.(user) ?? null));
    return this.#standing.get(name) ?? (name === 'HOME' ? home() : undefined);
  }

  #put(head: string[], { job }: Draft, lines: string[]): void {
    const remark = remarkLines(job.description);
    if (this.lines.length > 0 && head.length + remark.length > 0) this.lines.push('');
    this.lines.push(...head, ...remark, ...lines);
  }
}

/** One word of a shell, fit for a crontab's line. */
function shellWord(text: string, flavour: Flavour): string {
  const word = /^[\w@+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
  return joinCommand({ command: word, stdin: null }, flavour) ?? word;
}
