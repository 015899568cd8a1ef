import type { JobId, RunId } from './ids.ts';

/** What a job's rules may ask to be told of. */
export const jobNotices = ['failed', 'timed_out', 'lost', 'missed', 'late', 'recovered'] as const;
export type JobNotice = (typeof jobNotices)[number];

/** What a channel may ask to be told of the fleet. */
export const fleetNotices = [
  'worker_dead',
  'no_worker',
  'store_away',
  'clock_skewed',
  'spool_half_full',
  'overdue',
] as const;
export type FleetNotice = (typeof fleetNotices)[number];

export type AlertKind = JobNotice | FleetNotice;

/**
 * One thing that went wrong, or is right again: an entry of the outbox, from which it is delivered at least once to each of its
 * channels. All times are UTC ms.
 */
export interface Alert {
  /** Of its cause: whoever finds the same cause writes the same entry. Receivers know by it what they have had. */
  id: string;
  kind: AlertKind;
  /** What it concerns: `group/name`, `group/name~worker` where every worker runs the job, `worker:ID`, `store:NAME`, `fleet`. */
  about: string;
  /** `group/name`, where it concerns a job. */
  job: JobId | null;
  run: RunId | null;
  worker: string | null;
  at: number;
  /** One line for people, and some more. */
  title: string;
  text: string;
  /** Names of the channels that are to be told. */
  to: readonly string[];
  /** Who is to be told that it is right again. */
  recoverTo: readonly string[];
  /** Whether its cause still stands, for all that is known. */
  open: boolean;
  endedAt: number | null;
  /** When its delivery is to be looked at next; null: there is nothing left to deliver. */
  due: number | null;
  /** Who is about to deliver it. */
  by: string | null;
  tries: number;
  told: readonly { channel: string; at: number }[];
  /** Why a delivery did not come about, the last time. */
  problem: string | null;
  /** The earlier entry that this one only repeats: that has been told. */
  partOf: string | null;
  expireAt: number;
}

/** What a look at its delivery changes. */
export type AlertProgress = Pick<Alert, 'id' | 'due' | 'tries' | 'told' | 'problem' | 'partOf'>;

const keptMs = 90 * 86_400_000;

/** An alert that nobody has been told of yet: every field there. */
export function newAlert(
  known: Pick<Alert, 'id' | 'kind' | 'about' | 'at' | 'title' | 'to'> & Partial<Alert>,
): Alert {
  return {
    ...{ job: null, run: null, worker: null, text: '', recoverTo: [], open: true, endedAt: null },
    ...{ by: null, tries: 0, told: [], problem: null, partOf: null },
    due: known.at,
    expireAt: known.at + keptMs,
    ...known,
  };
}
