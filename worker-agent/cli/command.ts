import type { Api } from './api-client.ts';
import type { Terminal } from './terminal.ts';

export interface Flag {
  /** What stands behind it: `FILE`; left out where it takes nothing. */
  value?: string;
  help: string;
}

/** What a command gets: its words and flags, where it writes, and everything of the world that it may ask. */
export interface Context {
  args: readonly string[];
  /** Whether a flag was given. */
  has(flag: string): boolean;
  /** What stood behind a flag. */
  text(flag: string): string | undefined;
  /** The server that flags, variables or `up` name. Throws Unreachable where none of them does. */
  api(): Api;
  /** The folder where `up` keeps everything. */
  data: string;
  env: Readonly<Record<string, string | undefined>>;
  terminal: Terminal;
  now(): number;
  /** Said on Ctrl-C, before the end; null: nothing. */
  onInterrupt(text: string | null): void;
}

export interface Command {
  name: string;
  /** Under which head the overview lists it. */
  part: 'Start' | 'Crontabs and files' | 'Jobs' | 'Runs' | 'Fleet';
  /** Its words in the usage line: `JOB [INSTANT]`. */
  words: string;
  /** How many words it takes, at least and at most. */
  count: readonly [least: number, most: number];
  summary: string;
  /** What else its help says. */
  note?: string;
  example: string;
  flags?: Readonly<Record<string, Flag>>;
  /** Whether it needs no server, and so has no --url and --token. */
  local?: boolean;
  /** Gives the exit code. */
  run(context: Context): Promise<number>;
}

/** A wrong call: exit code 2. */
export class Usage extends Error {
  override readonly name = 'Usage';
}

export const jsonFlag = { json: { help: 'JSON instead of a table' } } as const;

/** Prints JSON where it is asked for, else what `human` makes of it. */
export function show<T>(context: Context, value: unknown, human: (value: T) => string): number {
  context.terminal.line(context.has('json') ? JSON.stringify(value, null, 2) : human(value as T));
  return 0;
}
