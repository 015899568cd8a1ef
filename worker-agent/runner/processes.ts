import { readdirSync, readFileSync, statSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { RunId } from '#core/model/ids.ts';
import type { Clock } from '#core/ports/clock.ts';
import { isCode } from './faults.ts';

/** A living process as /proc shows it. */
export interface Seen {
  pid: number;
  parent: number;
  group: number;
  session: number;
  /** The run that its environment names: it was inherited, unless somebody cleared it. Of another agent here: no run's id. */
  tag: RunId | null;
}

/** A pass over /proc lets the event loop go on at least this often. */
const sliceMs = 10;
const runName = Buffer.from('CRON_RUN_ID=');
const agentName = Buffer.from('CRON_AGENT=');

/**
 * Which agent of this host a process belongs to, by the folder of its runs (device and inode): two fleets have runs of one id where both have
 * a job of that name.
 */
export function agentMark(runsDir: string): string {
  const { dev, ino } = statSync(runsDir);
  return `${dev}.${ino}`;
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

/** What it was started with; '' where it is gone. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ESRCH')) return '';
    throw error;
  }
}

function tagOf(pid: number, mine: string): RunId | null {
  const text = environ(pid);
  const run = text === null ? null : variable(text, runName);
  if (text === null || run === null) return null;
  const agent = variable(text, agentName);
  // None: it was started before agents were told apart.
  return agent === null || agent === mine ? run : `${run}@${agent}`;
}

function variable(text: Buffer, name: Buffer): string | null {
  let at = text.indexOf(name);
  while (at > 0 && text[at - 1] !== 0) at = text.indexOf(name, at + 1);
  if (at < 0) return null;
  const end = text.indexOf(0, at);
  return text.toString('latin1', at + name.length, end < 0 ? text.length : end);
}

/** null: it is gone, or a zombie. */
function look(pid: number): (Omit<Seen, 'tag'> & { state: string }) | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command's name stands in brackets and may hold anything.
    const [state = '', parent, group, session] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return null;
    return { pid, parent: Number(parent), group: Number(group), session: Number(session), state };
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
}

/** Blind to recycled pids. */
export function isAlive(pid: number): boolean {
  return look(pid) !== null;
}

/** Whether SIGSTOP has taken hold of it: until then it may still be doing something. */
export function isStopped(pid: number): boolean {
  return look(pid)?.state === 'T';
}

/** Cheap, and blind to zombies and recycled pids. */
export function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Somebody else's is there, too.
    return isCode(error, 'EPERM');
  }
}

/** Looks at this host's processes for the agent whose mark `mine` gives. */
export function createProcesses(clock: Pick<Clock, 'boot'>, mine: () => string) {
  let going: Promise<Seen[]> | null = null;
  let next: Promise<Seen[]> | null = null;

  async function pass(): Promise<Seen[]> {
    const all: Seen[] = [];
    let slice = clock.boot();
    for (const name of readdirSync('/proc')) {
      const pid = Number(name);
      if (!(pid > 1) || pid === process.pid) continue;
      const seen = look(pid);
      if (seen !== null) all.push({ ...seen, tag: tagOf(pid, mine()) });
      if (clock.boot() - slice < sliceMs) continue;
      await turn();
      slice = clock.boot();
    }
    return all;
  }

  return {
    /**
     * Whether this pid lives and is a process of the run. The tag is of one run only, so a recycled pid, before or after a reboot, is
     * never mistaken for it.
     */
    isOf: (run: RunId, pid: number): boolean => pid > 1 && tagOf(pid, mine()) === run && look(pid) !== null,

    /** A pass over /proc; those who ask at the same time share one that begins after they asked. */
    list(): Promise<Seen[]> {
      next ??= (async () => {
        // A pass that is under way may have gone by what the asker means; how it ends is told to those who asked for it.
        await going?.catch(() => {});
        going = next;
        next = null;
        return pass();
      })();
      return next;
    },
  };
}
export type Processes = ReturnType<typeof createProcesses>;

/**
 * Who of these belongs to the run: who carries its tag, who is in its wrapper's session, and their children, whatever these did to
 * environment and session. Never who carries another run's tag.
 */
export function membersOf(all: readonly Seen[], run: RunId, wrapper: number | null): Seen[] {
  // The number may be somebody else's by now; while the leader is gone, no new session can get it.
  const leader = all.find(({ pid }) => pid === wrapper);
  const session = leader === undefined || leader.tag === run ? wrapper : null;
  const ours = new Set<number>();
  const members: Seen[] = [];
  for (let grew = true; grew; ) {
    grew = false;
    for (const one of all) {
      if (ours.has(one.pid) || (one.tag !== null && one.tag !== run)) continue;
      if (one.tag !== run && one.session !== session && !ours.has(one.parent)) continue;
      ours.add(one.pid);
      members.push(one);
      grew = true;
    }
  }
  return members;
}

/**
 * Sends a signal to a process, or to a whole group where it is negative. Who has ended meanwhile is no error; who became
 * somebody we may not signal (a setuid program) stays alive, and so is not confirmed.
 */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!isCode(error, 'ESRCH', 'EPERM')) throw error;
  }
}
