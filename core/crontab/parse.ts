import type { JobInput } from '#core/model/job.ts';
import { cronFault } from './fields.ts';
import { type Flavour, splitCommand } from './input.ts';
import { jobName } from './job-name.ts';
import { type Remark, remarkOf } from './remark.ts';
import { readVariable, type Variable } from './variable.ts';

export interface CrontabOptions {
  /** system: every line names its user after the fields (/etc/crontab, /etc/cron.d). */
  kind: 'user' | 'system';
  /** The machine's own zone, in which cron reads its fields. */
  zone: string;
  /** `crontab` unless said. */
  group?: string;
  /** Whose table a user's one is: its commands run as that user. Left out: as whoever the agent is. */
  owner?: string;
  homeOf?: (user: string) => string | null;
  /** `vixie` unless said. */
  flavour?: Flavour;
  /** How often a name was given already, for tables that are read together; counted on here. */
  names?: Map<string, number>;
}

export interface Refused {
  /** From 1. */
  line: number;
  text: string;
  reason: string;
  /** It is taken over all the same, as a variable: only what cron itself does upon it is not done. */
  partly: boolean;
}

export interface Crontab {
  jobs: { job: JobInput; line: number }[];
  refused: Refused[];
}

/** The PATH that cron gives a command whose table says nothing of it. */
export const cronPath = '/usr/bin:/bin';
/** The kernel takes no longer single argument. */
const longestCommand = 131_071;
const longestInput = 262_144;

/** What a table has said down to a line. */
interface Standing {
  /** Null below a CRON_TZ that is no zone: what time its lines mean is then unknown. */
  zone: string | null;
  env: Record<string, string>;
}

/**
 * Reads a crontab as cron(8) and crontab(5) do. Each line that is no comment becomes a job that means what it meant to cron, or stands in
 * `refused` with its reason, or is a variable of the lines below it; one that cron itself acted upon (MAILTO) is both. Pure:
 * the same text gives the same jobs under the same names.
 */
export function parseCrontab(text: string, options: CrontabOptions): Crontab {
  const result: Crontab = { jobs: [], refused: [] };
  const standing: Standing = { zone: options.zone, env: {} };
  const names = options.names ?? new Map<string, number>();
  let remark: Remark = [];
  for (const [at, raw] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const line = raw.replace(/\r$/, '').replace(/^[ \t]+/, '');
    const refuse = (reason: string, partly = false) =>
      result.refused.push({ line: at + 1, text: line, reason, partly });
    if (line.startsWith('#')) {
      remark.push(line);
      continue;
    }
    const above = remark;
    remark = [];
    if (line.trim() === '') continue;
    const variable = readVariable(line);
    if (variable !== null) {
      const reason = assign(standing, variable, options.zone);
      if (reason !== null) refuse(reason);
      // An empty MAILTO asks for no mail, and gets it.
      else if (variable.value !== '' && Object.hasOwn(notDone, variable.name))
        refuse(notDone[variable.name] ?? '', true);
      continue;
    }
    const job = entryOf(line, standing, options);
    if (typeof job === 'string') {
      refuse(job);
      continue;
    }
    const count = (names.get(job.name) ?? 0) + 1;
    names.set(job.name, count);
    const name = count === 1 ? job.name : `${job.name}-${count}`;
    const description = remarkOf(above);
    result.jobs.push({ line: at + 1, job: { ...job, name, ...(description === '' ? {} : { description }) } });
  }
  return result;
}

/** What cron itself does upon a variable, and we do not. */
const notDone: Record<string, string> = {
  MAILTO: "output is not mailed but kept as the run's log; a job's notify tells of failures",
  MAILFROM: 'nothing is mailed from here',
  RANDOM_DELAY: 'no start is delayed at random; a~b or H in a field spreads jobs',
  LOGNAME: 'cron sets it itself, to whose table it is, and so do we',
};

/** Takes a variable in; gives why it can't be, or null. */
function assign(standing: Standing, { name, value }: Variable, own: string): string | null {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `${JSON.stringify(name)} is not the name of a variable`;
  if (value.includes('\0') || value.length > longestCommand)
    return `no variable can hold a NUL character or more than ${longestCommand} characters`;
  if (name === 'CRON_TZ') {
    standing.zone = cronFault('* * * * *', value) === null && value !== '' ? value : null;
    return standing.zone === null
      ? `${JSON.stringify(value)} is no time zone, so the lines below it are not taken over; expected a name such as ${own}`
      : null;
  }
  if (name !== 'LOGNAME') standing.env = { ...standing.env, [name]: value };
  return null;
}

/** A job, or why the line can't be one. */
function entryOf(
  line: string,
  { zone, env }: Standing,
  options: CrontabOptions,
): (JobInput & { name: string }) | string {
  const { kind, group = 'crontab', flavour = 'vixie' } = options;
  const parts = /^-?(@\S+|\S+[ \t]+\S+[ \t]+\S+[ \t]+\S+[ \t]+\S+)(?:[ \t]+(.*))?$/s.exec(line);
  if (parts === null) return 'is neither NAME=VALUE nor five fields and a command';
  const [, fields = '', rest = ''] = parts;
  if (fields === '@reboot') return 'there is no instant for a reboot; a systemd unit starts things at boot';
  const schedule = fields.replace(/[ \t]+/g, ' ');
  if (zone === null) return 'the CRON_TZ above it is no time zone';
  const fault = cronFault(schedule, zone);
  if (fault !== null) return fault;

  const columns = /^(\S+)(?:[ \t]+(.*))?$/s.exec(rest);
  const column = kind === 'user' ? null : (columns?.[1] ?? null);
  if (column !== null && !/^[A-Za-z0-9_][A-Za-z0-9._-]*\$?$/.test(column))
    return `names ${JSON.stringify(column)} where a system table names the user`;
  const user = column ?? options.owner ?? null;
  const { command: said, stdin } = splitCommand(kind === 'user' ? rest : (columns?.[2] ?? ''), flavour);
  if (said.trim() === '')
    return kind === 'user' ? 'has no command' : 'names no user and command after its fields';
  // cron's own guard against a sixth field.
  if (kind === 'user' && said.startsWith('*')) return 'has a sixth field where its command should begin';
  if (said.includes('\0') || new TextEncoder().encode(said).length > longestCommand)
    return `no command can hold a NUL character or be longer than ${longestCommand} bytes`;
  if ((stdin ?? '').length > longestInput) return `its input is longer than ${longestInput} characters`;

  const { SHELL: shell = '/bin/sh', PATH = cronPath, HOME, ...others } = env;
  if (shell === '') return 'its SHELL is empty';
  const home = HOME ?? (user === null ? null : (options.homeOf?.(user) ?? null));
  return {
    group,
    name: jobName(said, [schedule, user ?? '', said, stdin ?? ''].join('\n')),
    command: said,
    ...{ schedule, timezone: zone, overlap: 'allow', catchUp: 'none', shell },
    env: {
      ...{ SHELL: shell, PATH },
      ...(home === null ? {} : { HOME: home }),
      ...(user === null ? {} : { LOGNAME: user }),
      ...others,
    },
    ...(stdin === null ? {} : { stdin }),
    ...(user === null ? {} : { user }),
  };
}
