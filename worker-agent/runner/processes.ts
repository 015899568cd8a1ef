import { readdirSync, readFileSync } from 'node:fs';
import { isCode } from './run-dir.ts';

/** The variable by which a run's processes are known wherever they went, unless they cleared their environment. */
function tagOf(run: string): Buffer {
  return Buffer.from(`CRON_RUN_ID=${run}\0`);
}

/** Gone, not ours to read, or a kernel thread: nobody of ours. */
function environ(pid: number): Buffer | null {
  try {
    return readFileSync(`/proc/${pid}/environ`);
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return null;
    throw error;
  }
}

/** Whether this pid is a process of the run: a recycled pid is not. */
export function isOf(run: string, pid: number): boolean {
  return Number.isInteger(pid) && pid > 1 && (environ(pid)?.includes(tagOf(run)) ?? false) && !isZombie(pid);
}

/** state, parent and group of a process; null: gone. */
function stat(pid: number): { state: string; group: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command's name stands in brackets and may hold anything.
    const [state = '', , group = ''] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state, group: Number(group) };
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
}

function isZombie(pid: number): boolean {
  const read = stat(pid);
  return read === null || read.state === 'Z' || read.state === 'X';
}

/** Every living process that carries the run's tag or is in its group. */
export function processesOf(run: string, group: number | null): number[] {
  const tag = tagOf(run);
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const read = stat(pid);
    if (read === null || read.state === 'Z' || read.state === 'X') continue;
    if ((group !== null && read.group === group) || environ(pid)?.includes(tag)) found.push(pid);
  }
  return found;
}

/** Sends a signal; somebody who has ended meanwhile is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!isCode(error, 'ESRCH')) throw error;
  }
}
