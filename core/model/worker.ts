export const workerStates = ['live', 'draining', 'away', 'dead'] as const;
export type WorkerState = (typeof workerStates)[number];

/** A worker's registration: what stands, leased, under workers/<id>. Written on change only; times are UTC ms. */
export interface WorkerRecord {
  id: string;
  host: string;
  addresses: string[];
  labels: Record<string, string>;
  version: string;
  state: 'live' | 'draining' | 'away';
  since: number;
  /** How many runs it takes at once. */
  capacity: number;
  /** Its zone data (`process.versions.tz`). */
  tzdata: string;
  /** Whether it may switch to another user. */
  switchesUser: boolean;
  /** Offset of its clock from reference time, ms; null while unknown. */
  clockSkewMs: number | null;
  /** Whether it has no room, so that its lanes go to others first. */
  full: boolean;
}

/** Load figures of a worker, kept by History and overwritten by each beat. */
export interface WorkerLoad {
  id: string;
  at: number;
  running: number;
  /** The store revision that its mirror has applied. */
  revision: string;
  cpu: number;
  memory: number;
  clockSkewMs: number | null;
  /** How full its spool is, 0 to 1; left out by earlier versions. */
  spool?: number;
  /** When nothing of its spool was left that History did not have, the last time it looked, UTC ms; null: not yet. */
  spoolEmptyAt?: number | null;
  /** It was stopped, and did not die. */
  left?: boolean;
}

/** A worker as the API shows it: registration and last load together. */
export interface WorkerView {
  id: string;
  host: string;
  addresses: string[];
  labels: Record<string, string>;
  version: string;
  state: WorkerState;
  since: number;
  lastBeat: number | null;
  capacity: number;
  running: number | null;
  revision: string | null;
  clockSkewMs: number | null;
  tzdata: string;
  /** Load average of one minute over the number of cores; null where unknown. */
  cpu: number | null;
  /** Bytes of memory that the agent holds; null where unknown. */
  memory: number | null;
}
