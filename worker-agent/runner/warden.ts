import { join, resolve } from 'node:path';
import { durationMs } from '#core/model/duration.ts';
import type { RunId } from '#core/model/ids.ts';
import { type Clock, sleep } from '#core/ports/clock.ts';
import { bar } from './bar.ts';
import { findCgroups } from './cgroup.ts';
import { isDiskFull, isShort } from './faults.ts';
import { climb, type LadderDeps } from './kill-ladder.ts';
import { agentMark, createProcesses } from './processes.ts';
import { RunDir } from './run-dir.ts';
import { Wards } from './wards.ts';

/** The lease is renewed every three seconds, and the deadline looked at more often than that matters. */
const lookEveryMs = 500;

/**
 * The warden's whole life (`onLeaseLoss: kill`): when the lease's deadline has passed without the agent having moved it, be that because it is cut off
 * from the store, stopped or dead, ends every ward by the kill ladder, and then itself. Another warden on the same folder relieves it.
 */
export async function standGuard(dir: string, deps: { clock: Clock; pid: number }): Promise<void> {
  const { clock, pid } = deps;
  const root = resolve(dir);
  const wards = new Wards(root);
  const mark = agentMark(join(root, 'runs'));
  const ladder = {
    clock,
    cgroups: findCgroups(root),
    processes: createProcesses(clock, () => mark),
    stop: new AbortController().signal,
  };
  wards.takeOver(pid);
  while (wards.warden() === pid) {
    const deadline = wards.deadline();
    // Nothing is released before a lease is held.
    const leftMs = deadline === null ? Number.POSITIVE_INFINITY : deadline - clock.boot();
    if (leftMs > 0) await sleep(clock, Math.min(leftMs, lookEveryMs));
    else return void (await Promise.all(wards.list().map((run) => end(join(root, 'runs'), run, ladder))));
  }
}

/** What has not started never will, and is no concern of ours any more; what runs is ended. */
async function end(runsDir: string, run: RunId, ladder: LadderDeps): Promise<void> {
  const dir = new RunDir(runsDir, run);
  const job = dir.read()?.plan.job;
  if (job === undefined || dir.exit() !== null) return;
  if (dir.startedAt() === null && (await bar(dir, run, await ladder.processes.list(), ladder.processes)))
    return;
  try {
    if (dir.ending() === null) dir.keepEnding('cut_off');
  } catch (error) {
    // A kill does not wait for room on the disk: its record then says what its end looks like.
    if (!isDiskFull(error) && !isShort(error)) throw error;
  }
  const how = { signal: `SIG${job.killSignal}` as NodeJS.Signals, graceMs: durationMs(job.killGrace) };
  await climb(run, dir.startedBy(), how, ladder);
}
