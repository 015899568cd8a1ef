import type { RunId } from '#core/model/ids.ts';
import { type Clock, sleep } from '#core/ports/clock.ts';
import type { KillReport } from '../runner.ts';
import type { Cgroups } from './cgroup.ts';
import { processesOf, signal } from './processes.ts';

const lookEveryMs = 50;

/**
 * Ends everything that belongs to a run: the asked signal to its group, its cgroup and whatever carries its tag; after the grace
 * KILL to the same, again and again until nothing of it lives.
 */
export async function climb(
  run: RunId,
  group: number | null,
  how: { signal: NodeJS.Signals; graceMs: number },
  deps: { clock: Clock; cgroups: Cgroups; inCgroup: boolean },
): Promise<Omit<KillReport, 'started'>> {
  const { clock, cgroups, inCgroup } = deps;
  const living = () => new Set([...cgroups.members(run), ...processesOf(run, group)]);
  const send = (name: NodeJS.Signals) => {
    if (name === 'SIGKILL') cgroups.killAll(run);
    for (const pid of living()) signal(pid, name);
  };
  const signalledAt = clock.now();
  const deadline = clock.boot() + how.graceMs;
  send(how.signal);
  while (living().size > 0) {
    if (clock.boot() >= deadline) send('SIGKILL');
    await sleep(clock, lookEveryMs);
  }
  return { signalledAt, confirmedAt: clock.now(), certain: inCgroup };
}
