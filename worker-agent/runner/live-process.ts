import type { ChildProcess } from 'node:child_process';
import type { KillReport, RunEnd, RunPlan } from '../runner.ts';
import type { OutputTail } from './output-tail.ts';
import type { RunDir } from './run-dir.ts';

/** A wrapper of ours, from its arming to the end of its run. */
export interface LiveProcess {
  plan: RunPlan;
  dir: RunDir;
  /** null: adopted, it is not our child. */
  child: ChildProcess | null;
  /** Leader of its session and group; null: adopted before the wrapper had written it. */
  pid: number | null;
  inCgroup: boolean;
  tail: OutputTail;
  /** armed: blocked on its gate. released: may start any moment. started: its command runs. */
  phase: 'armed' | 'released' | 'started' | 'ended';
  startedAt: number | null;
  /** When the gate was released (UTC ms). */
  releasedAt: number;
  /** Why our ladder is ending it. */
  ending: 'killed' | 'timed_out' | null;
  killing: Promise<Omit<KillReport, 'started'>> | null;
  cancelTimeout: (() => void) | null;
  /** Resolves when the wrapper is gone. */
  gone: Promise<void>;
  setGone: () => void;
}

/** How a started run ended, from what its wrapper left. */
export function endOf(one: LiveProcess, now: number): RunEnd {
  const exit = one.dir.exit();
  const { bytes, droppedBytes, tail } = one.tail.finish();
  const base = {
    startedAt: one.startedAt,
    bytes,
    droppedBytes,
    tail,
    exitCode: null,
    signal: null,
    reason: '',
  };
  if (one.phase === 'armed' || one.startedAt === null)
    return {
      ...base,
      how: 'not_started',
      endedAt: now,
      reason: 'its wrapper ended before the command was started',
    };
  // 128 + n is signal n only where it was ours: a command may exit with any status it likes.
  const signalled = one.ending !== null && exit !== null && exit.code > 128;
  const code = exit === null || signalled ? null : exit.code;
  const endedAt = exit?.at ?? now;
  if (one.ending !== null)
    return { ...base, how: one.ending, endedAt, exitCode: code, signal: signalName(one, exit?.code ?? null) };
  if (exit === null) return { ...base, how: 'vanished', endedAt: now };
  return { ...base, how: 'exited', endedAt, exitCode: code };
}

const names: Record<number, string> = {
  1: 'HUP',
  2: 'INT',
  3: 'QUIT',
  9: 'KILL',
  10: 'USR1',
  12: 'USR2',
  14: 'ALRM',
  15: 'TERM',
};

/** No exit status at all means that the wrapper itself was killed: with KILL, which nothing survives. */
function signalName(one: LiveProcess, code: number | null): string | null {
  if (one.ending === null) return null;
  if (code === null) return 'KILL';
  return code > 128 ? (names[code - 128] ?? null) : null;
}
