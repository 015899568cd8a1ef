import { hashOf } from '#core/decide/placement.ts';
import type { JobInput } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { parseSchedule } from '#core/schedule/parse.ts';

export interface CrontabOptions {
  /** system: every line names its user after the fields (/etc/crontab, /etc/cron.d). */
  kind: 'user' | 'system';
  /** The machine's own zone, in which cron reads its fields. */
  zone: string;
  /** `crontab` unless said. */
  group?: string;
  /** Who the agent runs as: a line of that user needs no switching. */
  self?: string;
  homeOf?: (user: string) => string | null;
}

export interface Refused {
  /** From 1. */
  line: number;
  text: string;
  reason: string;
}

export interface Crontab {
  jobs: { job: JobInput; line: number }[];
  refused: Refused[];
}

/** What cron(8) gives a command that the table says nothing else about. */
const cronPath = '/usr/bin:/bin';
const assignment = /^\s*(?:"([^"]*)"|'([^']*)'|([^\s=#"']+))\s*=\s*(.*)$/;
const variable = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The table's settings as they stand at a line. */
interface Standing {
  zone: string;
  env: Record<string, string>;
}

/**
 * Reads a crontab as cron(8) and crontab(5) do; each line either becomes a job that means what it meant to cron, or stands
 * in `refused` with its reason. Pure: the same text gives the same jobs under the same names.
 */
export function parseCrontab(text: string, options: CrontabOptions): Crontab {
  const result: Crontab = { jobs: [], refused: [] };
  const standing: Standing = { zone: options.zone, env: {} };
  const names = new Map<string, number>();
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  for (const [at, raw] of lines.entries()) {
    const line = raw.replace(/\r$/, '').replace(/^[ \t]+/, '');
    if (line.trim() === '' || line.startsWith('#')) continue;
    const refuse = (reason: string) => result.refused.push({ line: at + 1, text: line, reason });
    const set = assignment.exec(line);
    if (set !== null) {
      const reason = assign(standing, set);
      if (reason !== null) refuse(reason);
      continue;
    }
    try {
      const job = entryOf(line, standing, options);
      if (typeof job === 'string') {
        refuse(job);
        continue;
      }
      const count = (names.get(job.name) ?? 0) + 1;
      names.set(job.name, count);
      result.jobs.push({ line: at + 1, job: count === 1 ? job : { ...job, name: `${job.name}-${count}` } });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refuse(error.errors[0]?.message ?? error.message);
    }
  }
  return result;
}

/** Takes a variable in; gives why it can't be, or null. */
function assign(standing: Standing, [, double, single, bare, rest = '']: RegExpExecArray): string | null {
  const name = double ?? single ?? bare ?? '';
  const trimmed = rest.trim();
  const value = /^"(.*)"$/.exec(trimmed)?.[1] ?? /^'(.*)'$/.exec(trimmed)?.[1] ?? trimmed;
  if (!variable.test(name)) return `${JSON.stringify(name)} is no variable name`;
  if (name === 'MAILTO' || name === 'MAILFROM')
    return "output is kept in the log and not mailed; a job's notify tells of failures";
  if (name === 'RANDOM_DELAY') return 'a random delay is not taken over; H or a~b in a field spreads jobs';
  if (name !== 'CRON_TZ') {
    standing.env = { ...standing.env, [name]: value };
    return null;
  }
  try {
    parseSchedule('* * * * *', { timezone: value });
    standing.zone = value;
    return null;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return `CRON_TZ: ${JSON.stringify(value)} is no time zone`;
  }
}

/** A job, or why the line can't be one. */
function entryOf(
  line: string,
  standing: Standing,
  options: CrontabOptions,
): (JobInput & { name: string }) | string {
  const parts = /^(@\S+|\S+[ \t]+\S+[ \t]+\S+[ \t]+\S+[ \t]+\S+)[ \t]+(.*)$/.exec(line);
  if (parts === null) return 'is neither a variable nor five fields and a command';
  const [, fields = '', rest = ''] = parts;
  if (/^@reboot$/i.test(fields))
    return '@reboot: there is no instant for it; a systemd unit starts things at boot';
  const schedule = fields.replace(/[ \t]+/g, ' ').replace(/^-/, '');
  const named = options.kind === 'system' ? /^(\S+)[ \t]+(.*)$/.exec(rest) : null;
  if (options.kind === 'system' && named === null) return 'names no user and command after the fields';
  const user = named?.[1] ?? null;
  const { command, stdin } = splitPercent(named?.[2] ?? rest);
  if (command.trim() === '') return 'has no command';
  parseSchedule(schedule, { timezone: standing.zone });

  const { SHELL = '/bin/sh', HOME, ...others } = standing.env;
  const owner = user ?? options.self;
  const home = HOME ?? (owner === undefined ? null : (options.homeOf?.(owner) ?? null));
  const env: Record<string, string> = { ...others };
  env.PATH ??= cronPath;
  if (home !== null) env.HOME = home;
  if (owner !== undefined) env.LOGNAME ??= owner;
  env.SHELL = SHELL;
  return {
    group: options.group ?? 'crontab',
    name: nameOf(command, `${schedule} ${user ?? ''} ${rest}`),
    description: line,
    command,
    ...{ schedule, timezone: standing.zone, overlap: 'allow', catchUp: 'none', shell: SHELL, env },
    ...(home === null ? {} : { cwd: home }),
    ...(stdin === null ? {} : { stdin }),
    ...(user === null || user === options.self ? {} : { user }),
  };
}

/** An unescaped `%` ends the command; what follows is its input, each further one a new line (crontab(5)). */
function splitPercent(text: string): { command: string; stdin: string | null } {
  const parts = text.split(/(?<!\\)%/).map((part) => part.replaceAll('\\%', '%'));
  const [command = '', ...input] = parts;
  return { command, stdin: input.length === 0 ? null : `${input.join('\n')}\n` };
}

/** The command's first word, and six digits of the line's hash: the same line has the same name at every import. */
function nameOf(command: string, line: string): string {
  const [word = ''] = command.trim().split(/\s+/);
  const base = (word.split('/').at(-1) ?? '')
    .replace(/[^A-Za-z0-9._-]/g, '')
    .replace(/^[.-]+/, '')
    .slice(0, 40);
  return `${base === '' ? 'job' : base}-${hashOf(line).toString(16).padStart(8, '0').slice(0, 6)}`;
}
