import { openSync } from 'node:fs';
import type { Events } from '#core/ports/events.ts';
import type { FoundRun, RunPlan } from '../runner.ts';
import { isCode } from './faults.ts';
import { membersOf, type Processes, type Seen } from './processes.ts';
import { RunDir } from './run-dir.ts';

/** A run directory of an earlier life of the agent. */
export interface Remains {
  plan: RunPlan;
  dir: RunDir;
  found: Omit<FoundRun, 'end'>;
  /** Of its wrapper, if it lives. */
  pid: number | null;
}

/**
 * What stands in one run directory. Wrappers that had not started anything have been killed before this look, so what it calls armed or
 * claimed never starts. null: it is nobody's run, and out of the way.
 */
export function findRun(
  runsDir: string,
  name: string,
  host: { boot: string; events: Events; processes: Processes; seen: readonly Seen[] },
): Remains | null {
  const dir = new RunDir(runsDir, name);
  const read = dir.read();
  if (read === null || read.plan.run !== name) {
    if (dir.isBlank()) dir.remove();
    else
      host.events.emit({
        type: 'spool.damaged',
        file: dir.file('run.json'),
        problem: 'is not a run that this agent wrote',
        setAside: dir.setAside(),
      });
    return null;
  }
  const { plan } = read;
  const claim = dir.claimed();
  const known = { plan, fence: claim?.fence ?? null, claimedAt: claim?.claimedAt ?? null };
  const sameBoot = read.boot === host.boot;
  const remains = (phase: FoundRun['phase'], pid: number | null = null): Remains => ({
    plan,
    dir,
    found: { ...known, phase, startedAt: startOf(plan, known.claimedAt, dir) },
    pid,
  });
  if (dir.startedAt() === null) {
    // The host went down, and what was written last may be lost: nobody can say that a claimed run has not started.
    if (claim !== null && !sameBoot) return remains('ended');
    return remains(claim === null ? 'armed' : 'claimed');
  }
  const pid = dir.startedBy();
  if (sameBoot && pid !== null && dir.exit() === null && host.processes.isOf(plan.run, pid))
    return remains('running', pid);
  // Its wrapper was shot, and what that left lives on: it is there to be ended.
  if (sameBoot && dir.exit() === null && membersOf(host.seen, plan.run, pid).length > 0)
    return remains('running');
  return remains('ended');
}

/** The kernel's coarse clock stamps a marker some milliseconds early; nothing was released before its instant and its claim. */
function startOf({ instant }: RunPlan, claimedAt: number | null, dir: RunDir): number | null {
  const at = dir.startedAt();
  return at === null ? null : Math.max(at, instant ?? 0, claimedAt ?? 0);
}

/** The output of a run of an earlier life, to go on reading; null: there is none. */
export function openOutput(dir: RunDir): number | null {
  try {
    return openSync(dir.file('output'), 'r');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null;
    throw error;
  }
}
