import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Leftover {
  pid: number;
  /** Its command line, or its name in brackets where it has none. */
  command: string;
}

/**
 * Processes that belong to whoever put `tag` into their environment or their temporary folder's name: found by
 * environment, command line, working folder and open files, since a job of the agent gets an environment of its own.
 * Elsewhere than on Linux, where no /proc tells, none.
 */
export function processesOf(tag: string): Leftover[] {
  const found: Leftover[] = [];
  for (const entry of read(() => readdirSync('/proc')) ?? []) {
    const pid = Number(entry);
    if (!(pid > 0) || pid === process.pid) continue;
    const commandLine = read(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ?? '';
    const environment = read(() => readFileSync(`/proc/${pid}/environ`, 'latin1')) ?? '';
    if (
      environment.includes(tag) ||
      commandLine.includes(tag) ||
      openPaths(pid).some((path) => path.includes(tag))
    )
      found.push({ pid, command: commandLine.replaceAll('\0', ' ').trim() || `[${pid}]` });
  }
  return found;
}

/** How often it is looked whether they have gone. */
const lookMs = 50;

/**
 * Waits up to `graceMs` for the tag's processes to go: one that was killed a moment ago is no leftover. It is counted in looks: a machine on
 * which those are slow buries the dead slowly, too.
 */
export async function leftoversOf(tag: string, graceMs: number): Promise<Leftover[]> {
  for (let looks = graceMs / lookMs; ; looks -= 1) {
    const found = processesOf(tag);
    if (found.length === 0 || looks <= 0) return found;
    await sleep(lookMs);
  }
}

/** Kills what leftoversOf found, and what that started meanwhile. */
export async function killAll(tag: string): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    const found = processesOf(tag);
    if (found.length === 0) return;
    for (const { pid } of found) read(() => process.kill(pid, 'SIGKILL'));
    await sleep(lookMs);
  }
}

function openPaths(pid: number): string[] {
  const links = [
    `/proc/${pid}/cwd`,
    ...(read(() => readdirSync(`/proc/${pid}/fd`)) ?? []).map((fd) => `/proc/${pid}/fd/${fd}`),
  ];
  return links.map((link) => read(() => readlinkSync(link)) ?? '');
}

/** Undefined where a process went while it was looked at, or is somebody else's. */
function read<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    // Any error here means that the process is gone or not ours to see: either way it is not one of the tag's.
    return undefined;
  }
}
