import type { RunId } from './ids.ts';

export const runStates = [
  'waiting',
  'claimed',
  'running',
  'succeeded',
  'failed',
  'timed_out',
  'killed',
  'lost',
  'skipped',
  'missed',
  'cancelled',
] as const;
export type RunState = (typeof runStates)[number];

export const triggers = ['schedule', 'manual', 'retry', 'catch-up', 'backfill'] as const;
export type Trigger = (typeof triggers)[number];

const open: readonly RunState[] = ['waiting', 'claimed', 'running'];
/** Whether a run in this state has ended: nothing follows it, and History keeps the first record of that kind. */
export function isTerminal(state: RunState): boolean {
  return !open.includes(state);
}

/** Who asked that a run be killed, and how far that is. Times are UTC ms. */
export interface Kill {
  by: string;
  requestedAt: number;
  signalledAt: number | null;
  /** When nothing of the run was found alive; null until then. */
  confirmedAt: number | null;
  /** False where no cgroup could be had: a process that left session and environment could not have been seen. */
  certain: boolean | null;
}

/**
 * What became of one (job, instant, attempt): History's record and, while it lives, what the agent knows of it.
 * All times are UTC ms or null. `instant` is null for a manual run. A stretch of equal instants that did not run
 * is one record: `instant` the first, `until` the last, `count` how many.
 */
export interface Run {
  id: RunId;
  group: string;
  name: string;
  instant: number | null;
  until: number | null;
  count: number;
  attempt: number;
  trigger: Trigger;
  state: RunState;
  /** Why it is in this state: `overlap`, `paused`, `edited`, `expired`, `exit status 3`, ...; '' where that says nothing. */
  reason: string;
  worker: string | null;
  incarnation: string | null;
  plannedAt: number | null;
  claimedAt: number | null;
  startedAt: number | null;
  endedAt: number | null;
  exitCode: number | null;
  /** Name of the signal that ended it, without SIG. */
  signal: string | null;
  /** Bytes of output that the command wrote. */
  bytes: number;
  /** Of these, those that were not kept: between head and tail, or for want of room. */
  droppedBytes: number;
  /** The last bytes of the output, as text (at most 4 KiB). */
  tail: string;
  kill: Kill | null;
  /** Who asked for it: a manual run's caller; null where the schedule did. */
  by: string | null;
  /** create revision of the running key: greater for every later attempt of the job. */
  fence: string | null;
  /** The command as it ran, so that a log outlives its job. */
  command: string | null;
  /** A terminal record that came after the first one (a run closed as lost that went on). */
  also: Partial<Run> | null;
  /** UTC ms after which History may forget it; null until it has ended. */
  expireAt: number | null;
}

/** Why a run is in its state, for people; who killed it stands in its kill alone. */
export function reasonOf({
  state,
  reason,
  kill,
}: Pick<Run, 'state' | 'reason'> & { kill: { by: string } | null }): string {
  return state === 'killed' && reason === '' && kill !== null ? `killed by ${kill.by}` : reason;
}

export function lateMs(run: Pick<Run, 'instant' | 'startedAt'>): number | null {
  return run.instant === null || run.startedAt === null ? null : run.startedAt - run.instant;
}

export function durationOf(run: Pick<Run, 'startedAt' | 'endedAt'>): number | null {
  return run.startedAt === null || run.endedAt === null ? null : run.endedAt - run.startedAt;
}

/** A run nobody has touched yet: every field there, so that makers name only what they know. */
export function blankRun(known: Pick<Run, 'id' | 'group' | 'name' | 'state'> & Partial<Run>): Run {
  return {
    instant: null,
    until: null,
    count: 1,
    attempt: 1,
    trigger: 'schedule',
    reason: '',
    worker: null,
    incarnation: null,
    plannedAt: null,
    claimedAt: null,
    startedAt: null,
    endedAt: null,
    exitCode: null,
    signal: null,
    bytes: 0,
    droppedBytes: 0,
    tail: '',
    kill: null,
    by: null,
    fence: null,
    command: null,
    also: null,
    expireAt: null,
    ...known,
  };
}
