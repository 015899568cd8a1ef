import type { RunId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import type { Trigger } from '#core/model/run.ts';

/** What a run needs to be started: everything but its claim. Kept as run.json, so that a restarted agent knows it. */
export interface RunPlan {
  run: RunId;
  job: Job;
  lane: string;
  instant: number | null;
  attempt: number;
  trigger: Trigger;
  /** Further variables, from a manual run's order. */
  env: Record<string, string>;
  order: string | null;
  by: string | null;
  losses: number;
  covers: { from: number; count: number } | null;
  /** CRON_SHARD and CRON_SHARDS, where target.workers is a list and mode is all. */
  shard: { index: number; count: number } | null;
  /**
   * What wakes it: all armed runs of one gate are released by one pipe. The instant's text for a scheduled run,
   * the first one's id for those that start at once, together.
   */
  gate: string;
}

/** How a run ended, as its host saw it. Times are UTC ms. */
export interface RunEnd {
  /**
   * exited: the command ended by itself or by a signal; timed_out, killed: our ladder ended it; cut_off: the warden's did, the lease
   * being over; not_started: its wrapper ended without starting the command (`reason` says why); vanished: gone without an exit status.
   */
  how: 'exited' | 'timed_out' | 'killed' | 'cut_off' | 'not_started' | 'vanished';
  reason: string;
  startedAt: number | null;
  endedAt: number;
  exitCode: number | null;
  signal: string | null;
  bytes: number;
  droppedBytes: number;
  tail: string;
}

/** What a restarted agent finds of a run in its directory. */
export interface FoundRun {
  plan: RunPlan;
  /** armed: no claim is known of; claimed: marker there, never started; running: lives and is watched from now on; ended. */
  phase: 'armed' | 'claimed' | 'running' | 'ended';
  fence: string | null;
  claimedAt: number | null;
  startedAt: number | null;
  end: RunEnd | null;
}

export interface KillReport {
  /** False: nothing of it had been started, nothing will be, and no `ended` comes. */
  started: boolean;
  signalledAt: number;
  /** When nothing of the run was alive any more. */
  confirmedAt: number;
  /** False where no cgroup could be had (DESIGN.md section 5, 5). */
  certain: boolean;
}

export interface RunnerEvents {
  started(run: RunId, at: number): void;
  /** Exactly once for each run that was released or adopted alive; its output has gone to the ledger before. */
  ended(run: RunId, end: RunEnd): void;
}

/**
 * Processes of one host, as the agent's planner sees them. The real one starts `sh` wrappers; the simulation's
 * are numbers. It decides nothing: timeouts and kills are carried out as the plan says.
 */
export interface Runner {
  /** Looks at every run directory once, before anything else; what lives is watched from now on. */
  adopt(events: RunnerEvents): Promise<FoundRun[]>;
  /**
   * Finds out what the host knows of a job's user before a run of it is armed, since its name service may be slow; null: it is at hand.
   * Settles when there is an answer, or has been none for too long: `arm` then waits for nobody, and refuses what it must.
   */
  lookUp(user: string | null): Promise<void> | null;
  /**
   * Starts a blocked wrapper for each; nothing of the jobs runs yet. Gives per run null, or the Refusal's text and code
   * (no such user, cwd, shell; disk full; too many processes): of such a run nothing is left.
   */
  arm(plans: readonly RunPlan[]): Promise<Map<RunId, { code: string; reason: string } | null>>;
  /** Writes the marker without which a wrapper starts nothing. `fence` becomes CRON_FENCE. */
  markClaimed(run: RunId, claim: { fence: string; incarnation: string; claimedAt: number }): Promise<void>;
  /**
   * Lets every armed and claimed run of the gate go: writes `go` with the lease's deadline (boot time ms), closes the
   * pipe. Call it at or after the instant. What is armed but not claimed ends as not_started.
   */
  release(gate: string, deadlineBootMs: number): Promise<void>;
  /**
   * The lease now holds until then (boot time ms): what must not run without it (`onLeaseLoss: kill`) is ended at that time, whatever
   * has become of the agent.
   */
  lease(deadlineBootMs: number): void;
  /** Takes the marker away and ends the wrapper. False: too late, the command has started (or has never been armed). */
  disarm(run: RunId): Promise<boolean>;
  /** The kill ladder; resolves when nothing of the run lives. `ended` comes besides, with how: killed. What is armed is un-armed. */
  kill(run: RunId, how: { signal: string; graceMs: number }): Promise<KillReport>;
  /** Forgets the run and its directory, once all of it is in the ledger. */
  forget(run: RunId): Promise<void>;
  /** Armed and living runs. */
  count(): number;
  /** Stops watching and tailing, flushing what was read; living jobs and their wrappers live on, armed wrappers end. */
  stop(): Promise<void>;
}
