import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { RunId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Clock } from '#core/ports/clock.ts';
import { isDiskFull, isShort } from './faults.ts';
import { Wards } from './wards.ts';

/** Without a ward it is kept for a while: the next run may be near. */
const idleMs = 10_000;
/** One that ended before its time is followed by another. */
const againMs = 500;

/** The agent's side of the warden: it is there as long as there is a run that must not outlive the lease. */
export function createWardenKeeper(deps: {
  root: string;
  clock: Clock;
  /** How this very program is started. */
  program: readonly string[];
  diskFull(error: unknown): void;
}) {
  const { root, clock, program, diskFull } = deps;
  const wards = new Wards(root);
  const known = new Set<RunId>();
  let child: ChildProcess | null = null;
  let deadline: number | null = null;
  let cancelIdle = () => {};

  /** Refusal `spawn_failed`. */
  function ensure(): void {
    cancelIdle();
    if (child !== null) return;
    const [command = '', ...args] = program;
    const started = spawn(command, [...args, 'warden', root], { cwd: '/', detached: true, stdio: 'ignore' });
    // Told by the missing pid already, and each further word of it would be a fault.
    started.on('error', () => {});
    if (started.pid === undefined)
      throw new Refusal('spawn_failed', 'the warden of this run could not be started');
    child = started;
    started.once('exit', (code) => {
      if (child !== started) return;
      child = null;
      // It has not done its duty: somebody shot it, or the host was short of something.
      if (code !== 0 && known.size > 0) cancelIdle = clock.after(againMs, tryToEnsure);
    });
    // It outlives us.
    started.unref();
  }

  /** What can't be had now is tried again with the next renewal. */
  function tryToEnsure(): void {
    try {
      ensure();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }

  function hold(): void {
    if (deadline === null) return;
    try {
      wards.hold(deadline);
    } catch (error) {
      // The old deadline stands, and is the stricter one.
      if (!isDiskFull(error) && !isShort(error)) throw error;
      diskFull(error);
    }
  }

  function dismiss(): void {
    child?.kill();
    child = null;
  }

  return {
    /** Those that an earlier life has left, and nobody else. */
    adopt(runs: readonly RunId[]): void {
      for (const run of wards.list()) if (!runs.includes(run)) wards.remove(run);
      for (const run of runs) known.add(run);
      if (known.size > 0) ensure();
    },
    /** From before it can start. Refusal `spawn_failed`; throws what the disk says. */
    take(run: RunId): void {
      ensure();
      if (known.size === 0) hold();
      wards.add(run);
      known.add(run);
    },
    /** It has ended, or never started. */
    leave(run: RunId): void {
      if (!known.delete(run)) return;
      wards.remove(run);
      if (known.size === 0) cancelIdle = clock.after(idleMs, dismiss);
    },
    /** The lease holds until then (boot time, ms). */
    lease(deadlineBootMs: number): void {
      deadline = deadlineBootMs;
      if (known.size === 0) return;
      hold();
      // It may have done its duty.
      tryToEnsure();
    },
    async stop(): Promise<void> {
      cancelIdle();
      const last = child;
      if (known.size > 0 || last === null) return;
      // Else Node ends in the middle of this wait, where nothing but this keeps it here.
      last.ref();
      const gone = once(last, 'exit');
      dismiss();
      await gone;
    },
  };
}
