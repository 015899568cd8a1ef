import { readFileSync } from 'node:fs';
import type { RunId } from '#core/model/ids.ts';
import { type Clock, sleep } from '#core/ports/clock.ts';
import type { KillReport } from '../runner.ts';
import type { Cgroups } from './cgroup.ts';
import { isShort } from './faults.ts';
import { commandLine, membersOf, type Processes, type Seen, signal } from './processes.ts';

const firstLookMs = 10;
const longestLookMs = 250;
/** So long at most, and half the grace, a command that is just being started is waited for, which on a busy host takes a moment. */
const longestStartMs = 5_000;

export interface LadderDeps {
  clock: Clock;
  cgroups: Cgroups;
  processes: Processes;
  /** The agent goes: the ladder is left as it stands, and its promise open. */
  stop: AbortSignal;
}

/**
 * Ends everything that belongs to a run: the asked signal to its groups, its cgroup and whatever carries its tag, once its command is there to
 * hear it; after the grace KILL to the same, again and again until nothing of it lives.
 */
export async function climb(
  run: RunId,
  wrapper: number | null,
  how: { signal: NodeJS.Signals; graceMs: number },
  { clock, cgroups, processes, stop }: LadderDeps,
): Promise<Omit<KillReport, 'started'>> {
  const certain = isIn(cgroups.members(run), wrapper);
  let signalledAt = clock.now();
  // Whatever is waited for: a keeper closes a run that is cut off when the grace is over, and another one starts.
  const deadline = clock.boot() + how.graceMs;
  let killing = how.signal === 'SIGKILL';
  let waitMs = firstLookMs;
  /** A pass over /proc is no snapshot: where no cgroup vouches for it, two in a row must find nobody. */
  let emptyPasses = 0;
  let first = await living();
  const startsUntil = clock.boot() + Math.min(how.graceMs / 2, longestStartMs);
  while (!killing && isStarting(first, wrapper) && clock.boot() < startsUntil && !stop.aborted) {
    await sleep(clock, firstLookMs, stop);
    first = await living();
    signalledAt = clock.now();
  }
  send(how.signal, first);
  // Who is stopped can't do what TERM asks of it.
  if (!killing) send('SIGCONT', first);

  while (!stop.aborted) {
    const left =
      cgroups.members(run).length > 0 && !killing && clock.boot() < deadline ? null : await living();
    if (stop.aborted) break;
    if (left?.length === 0) {
      emptyPasses += 1;
      if (certain || emptyPasses === 2) return { signalledAt, confirmedAt: clock.now(), certain };
      continue;
    }
    emptyPasses = 0;
    if (!killing && clock.boot() >= deadline) {
      killing = true;
      waitMs = firstLookMs;
    }
    if (killing && left !== null) {
      cgroups.killAll(run);
      send('SIGKILL', left);
    }
    const toDeadline = killing ? Number.POSITIVE_INFINITY : deadline - clock.boot();
    await sleep(clock, Math.max(1, Math.min(waitMs, toDeadline)), stop);
    waitMs = Math.min(waitMs * 1.5, longestLookMs);
  }
  return new Promise(() => {});

  async function living(): Promise<Seen[]> {
    for (;;) {
      try {
        const all = await processes.list();
        const known = new Set(cgroups.members(run));
        const found = membersOf(all, run, wrapper);
        const rest = all.filter((one) => known.has(one.pid) && !found.includes(one));
        return [...found, ...rest];
      } catch (error) {
        // Out of open files, say: who lives can't be seen now, and a kill is not given up for that.
        if (!isShort(error)) throw error;
        await sleep(clock, longestLookMs, stop);
        if (stop.aborted) return [];
      }
    }
  }
}

/**
 * Whether the wrapper has not got as far as its command's own program: it keeps for itself what it is told until then, and the command would go
 * on to the end of the grace as if nothing had been asked of it.
 */
function isStarting(members: readonly Seen[], wrapper: number | null): boolean {
  if (wrapper === null || !members.some(({ pid }) => pid === wrapper)) return false;
  const own = commandLine(wrapper);
  return !members.some(({ pid, parent }) => parent === wrapper && commandLine(pid) !== own);
}

/** Whole groups at once: a process that forks all the time would else always be a step ahead. */
function send(name: NodeJS.Signals, to: readonly Seen[]): void {
  const own = ownGroup();
  for (const group of new Set(to.map((one) => one.group)))
    if (group > 1 && group !== own) signal(-group, name);
  for (const { pid, group } of to) if (group <= 1 || group === own) signal(pid, name);
}

function ownGroup(): number {
  return Number(
    readFileSync('/proc/self/stat', 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')[2],
  );
}

function isIn(members: readonly number[], wrapper: number | null): boolean {
  return wrapper === null ? members.length > 0 : members.includes(wrapper);
}
