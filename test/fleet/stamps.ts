import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Stamp } from './verdict.ts';

/**
 * A command that writes when it starts and when it has done its work, in lines that no crash can tear: what a fleet is judged by is
 * written by the jobs themselves.
 */
export function stampedCommand(folder: string, name: string, seconds: string, code = 0): string {
  const file = join(folder, name);
  const line = (what: string) => `echo "${what} $CRON_RUN_ID $CRON_FENCE $(date +%s%3N)" >> ${file}`;
  return `${line('start')}; echo up; sleep ${seconds}; ${line('end')}; exit ${code}`;
}

export function makeStamps(folder: string): void {
  mkdirSync(folder, { recursive: true });
}

/** Everything that was written so far. Throws on a line that no command of ours can have written. */
export function readStamps(folder: string): Stamp[] {
  const stamps: Stamp[] = [];
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const open = new Map<string, Stamp>();
    for (const line of readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1)) {
      const [, what, run = '', fence = '', at] = /^(start|end) (\S+) (\d+) (\d+)$/.exec(line) ?? [];
      if (what === undefined) throw new Error(`${join(folder, name)}: ${JSON.stringify(line)} is no stamp`);
      if (what === 'start') {
        const stamp: Stamp = { run, fence, start: Number(at), end: null };
        stamps.push(stamp);
        open.set(run, stamp);
      } else {
        const stamp = open.get(run);
        if (stamp !== undefined) stamp.end = Number(at);
      }
    }
  }
  return stamps;
}
