import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** How late the machine itself was with something planned for `at` (UTC ms), by the wall clock. */
export interface Pace {
  at: number;
  lateMs: number;
}

const run = promisify(execFile);
const aheadMs = 100;

/** Starts a shell by a timer, again and again until `to`: all of a start by schedule that needs nobody of ours. */
export async function paceOfMachine(to: number): Promise<Pace[]> {
  const paces: Pace[] = [];
  for (let at = Date.now() + aheadMs; at < to; at = Date.now() + aheadMs) {
    await sleep(at - Date.now());
    const { stdout } = await run('sh', ['-c', 'date +%s%3N']);
    paces.push({ at, lateMs: Number(stdout) - at });
  }
  return paces;
}
