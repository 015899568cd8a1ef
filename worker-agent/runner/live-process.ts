import type { ChildProcess } from 'node:child_process';
import { durationMs } from '#core/model/duration.ts';
import type { KillReport, RunEnd, RunPlan } from '../runner.ts';
import type { GatePipe } from './gate-pipe.ts';
import type { OutputTail } from './output-tail.ts';
import type { Ending, RunDir } from './run-dir.ts';
import { notStartedReason } from './wrapper.ts';

/**
 * A wrapper of ours, from its arming to the end of its run.
 *
 *   armed -> released -> started -> ended
 *      \---------\----------------> ended (disarmed, or its wrapper ended)
 */
export interface LiveProcess {
  plan: RunPlan;
  dir: RunDir;
  tail: OutputTail;
  /** null: adopted, it is not our child. */
  child: ChildProcess | null;
  /** Leader of its session and group; null: adopted before the wrapper had written it. */
  pid: number | null;
  /** What it waits at; null: adopted. */
  pipe: GatePipe | null;
  /** armed: blocked on its gate. released: may start any moment. started: its command runs. */
  phase: 'armed' | 'released' | 'started' | 'ended';
  startedAt: number | null;
  /** When the gate was released (UTC ms). */
  releasedAt: number;
  /** How its wrapper ended, seen as its parent; null: not yet, or it was adopted. */
  exited: { code: number | null; signal: string | null } | null;
  /** Why a ladder is ending it. */
  ending: Ending | null;
  killing: Promise<Omit<KillReport, 'started'>> | null;
  cancelTimeout: (() => void) | null;
  /** Looks in a row that found no new output. */
  quiet: number;
  /** Resolves when the wrapper is gone. */
  gone: Promise<void>;
  setGone: () => void;
}

/** Whether its wrapper is gone without a word of how the command ended: the command itself may live. */
export function isLost(one: LiveProcess): boolean {
  return one.startedAt !== null && (one.exited?.code ?? null) === null && one.dir.exit() === null;
}

/**
 * How a run ended whose wrapper is gone, from what that left; hands the rest of the output on. `livedAt`: it had not ended by then, as a
 * ladder was begun for it.
 */
export async function endOf(one: LiveProcess, now: number, livedAt = 0): Promise<RunEnd> {
  const { ending, exited, startedAt } = one;
  const blank = { startedAt, exitCode: null, signal: null, reason: '' };
  if (startedAt === null) {
    one.tail.close();
    const reason = notStartedReason(exited?.code ?? null, exited?.signal ?? null);
    const none = { bytes: 0, droppedBytes: 0, tail: '' };
    return { ...blank, ...none, how: ending === null ? 'not_started' : 'killed', endedAt: now, reason };
  }
  const written = one.dir.exit();
  const base = { ...blank, ...(await one.tail.finish()) };
  const code = written?.code ?? exited?.code ?? null;
  // The kernel's coarse clock stamps a file some milliseconds early: never before the start, nor before what ended it.
  const { timeout } = one.plan.job;
  const over = ending === 'timed_out' && timeout !== null ? startedAt + durationMs(timeout) : startedAt;
  const endedAt = Math.max(written?.at ?? now, over, livedAt);
  if (ending !== null) {
    // 128 + n is signal n only where it was ours: a command may exit with any status it likes.
    const signal = code === null ? 'KILL' : code > 128 ? (signalNames[code - 128] ?? null) : null;
    return { ...base, how: ending, endedAt, exitCode: signal === null ? code : null, signal };
  }
  if (code === null) {
    const by = exited?.signal ?? null;
    return {
      ...{ ...base, how: 'vanished', endedAt },
      reason: by === null ? '' : `its wrapper was ended by ${by}, and what was left of it with it`,
    };
  }
  return { ...base, how: 'exited', endedAt, exitCode: code };
}

const signalNames: Record<number, string> = {
  1: 'HUP',
  2: 'INT',
  3: 'QUIT',
  9: 'KILL',
  10: 'USR1',
  12: 'USR2',
  14: 'ALRM',
  15: 'TERM',
};
