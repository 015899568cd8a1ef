import type { Alert, AlertProgress } from '#core/model/alert.ts';
import type { RunId } from '#core/model/ids.ts';
import type { Run, RunState, Trigger } from '#core/model/run.ts';
import type { WorkerLoad } from '#core/model/worker.ts';

/** A piece of a run's output. Pieces of one run are numbered from 0 without gap; `at` is UTC ms. */
export interface LogChunk {
  run: RunId;
  seq: number;
  /** Where its first byte stood in the original output. */
  offset: number;
  data: Uint8Array;
  at: number;
  expireAt: number;
}

/** Newest first where nothing else is said. Every list pages by key, never by skip. */
export interface Page<T> {
  items: T[];
  /** Opaque; null: that was all. */
  next: string | null;
}

export interface RunQuery {
  /** Only these groups; undefined: all. */
  groups?: readonly string[];
  group?: string;
  name?: string;
  worker?: string;
  state?: RunState;
  trigger?: Trigger;
  /** Bounds of when it was due: instant, or plannedAt for a manual run. UTC ms; from <= due < to. */
  from?: number;
  to?: number;
  limit: number;
  cursor?: string;
}

export interface LogRead {
  /** The bytes kept at [from, next) of the original output, in order, as far as `maxBytes` goes. */
  data: Uint8Array;
  from: number;
  /** Where to go on reading. Bytes that were dropped are stepped over. */
  next: number;
  /** Bytes stepped over in this answer because they were not kept. */
  dropped: number;
}

export interface AuditEntry {
  id: string;
  at: number;
  who: string;
  /** `job.create`, `job.update`, `job.delete`, `job.run`, `run.kill`, `token.create`, ... */
  what: string;
  /** `group/name`, where it concerns a job. */
  job: string | null;
  target: string;
  requestId: string;
  before: unknown;
  after: unknown;
}

export interface StatsBucket {
  at: number;
  counts: Partial<Record<RunState, number>>;
  /** Of runs that ended in this step, ms. */
  durationP50: number | null;
  durationP99: number | null;
  lateP50: number | null;
  lateP99: number | null;
}

/**
 * A store's fault. `unavailable`: it did not answer, or not in time; whatever was asked may be asked again. `refused`: it
 * answered and will not do it for now (rights, no space); the message says what to do. `unfit`: it will never take what it was given, of
 * which the rest may be saved; given alone, whatever is good is taken.
 */
export class HistoryError extends Error {
  override readonly name = 'HistoryError';
  readonly code: 'unavailable' | 'refused' | 'unfit';
  constructor(code: HistoryError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The ledger, the logs, the audit. SQLite embedded, MongoDB distributed; one suite: test/contract/history. */
export interface History {
  /** Reference time, UTC ms: the clock all workers are measured against (the host's own with SQLite). */
  now(): Promise<number>;
  /**
   * Saves records: all, or it rejects. Then a repeat finishes whatever is not saved yet (SQLite: nothing is; MongoDB: some
   * may be). Idempotent by id. An open record may be overwritten by a later one; the first
   * terminal record of an id stays, a different later one is kept in it as `also`; an open record never replaces
   * a terminal one. The same record twice changes nothing.
   */
  saveRuns(runs: readonly Run[]): Promise<void>;
  /** Saves pieces of output; idempotent by (run, seq). */
  saveLogs(chunks: readonly LogChunk[]): Promise<void>;
  run(id: RunId): Promise<Run | null>;
  runs(query: RunQuery): Promise<Page<Run>>;
  /** The record that covers this instant of the job: its own (latest attempt), or the stretch around it. */
  covering(group: string, name: string, instant: number): Promise<Run[]>;
  /** For each `group/name` its latest record. */
  latest(jobs: readonly string[]): Promise<Map<string, Run>>;
  log(run: RunId, from: number, maxBytes: number): Promise<LogRead>;
  /**
   * Lines of this job's logs since `since` that contain `text`, newest runs first, reading at most `maxBytes`, which have to
   * be more than two pieces have; from where the search ended early whose `next` is the cursor. Refusal `query_invalid`
   * for any other cursor.
   */
  search(query: {
    group: string;
    name: string;
    text: string;
    since: number;
    maxBytes: number;
    limit: number;
    cursor?: string;
  }): Promise<{
    lines: { run: RunId; at: number; offset: number; line: string }[];
    /** False when `maxBytes` or `limit` ended it early. */
    complete: boolean;
    /** Where the next search goes on, and when the run was due that this one had come to; null when complete. */
    next: string | null;
    reachedAt: number | null;
  }>;
  stats(query: {
    groups?: readonly string[];
    from: number;
    to: number;
    stepMs: number;
  }): Promise<StatsBucket[]>;
  addAudit(entry: AuditEntry): Promise<void>;
  audit(query: {
    from?: number;
    to?: number;
    who?: string;
    job?: string;
    groups?: readonly string[];
    limit: number;
    cursor?: string;
  }): Promise<Page<AuditEntry>>;
  /** Puts alerts into the outbox; of those whose id is there already nothing changes. */
  addAlerts(alerts: readonly Alert[]): Promise<void>;
  /** Newest first. `groups`: only what concerns their jobs; `open`: only what stands, or only what does not. */
  alerts(query: {
    groups?: readonly string[];
    open?: boolean;
    limit: number;
    cursor?: string;
  }): Promise<Page<Alert>>;
  /**
   * Takes alerts whose delivery is due at `now`, longest due first. Until they are settled, or until `until`, nobody else gets any at all: so
   * what comes in a storm goes out together, however many look at once. `by` names this taking and no other; asked again it gets more.
   */
  claimAlerts(claim: { by: string; now: number; until: number; limit: number }): Promise<Alert[]>;
  /** Writes down what became of alerts taken as `by`, which then is over; of those that somebody else has taken since nothing changes. */
  settleAlerts(by: string, progress: readonly AlertProgress[]): Promise<void>;
  /** Alerts that stand, in the order of what they are about: about these, or about anything behind `after`. */
  openAlerts(query: { abouts: readonly string[] } | { after: string; limit: number }): Promise<Alert[]>;
  /** Their causes are gone. `untold`: only those that nobody has been told of or is about to be, and nobody will be. */
  endAlerts(ids: readonly string[], at: number, untold: boolean): Promise<void>;
  /** When each channel was last told something, of what was told since then; oldest first. */
  toldSince(since: number): Promise<{ channel: string; at: number }[]>;
  saveLoad(load: WorkerLoad): Promise<void>;
  /** Of all workers, or of these. */
  loads(workers?: readonly string[]): Promise<WorkerLoad[]>;
  /** Forgets what expired before `now`; returns how many runs went. Where the store does that itself, nothing. */
  expire(now: number): Promise<number>;
  /**
   * Resolves when a run's log may have grown or `ms` have passed, often earlier where others write too: who waits looks again.
   * What a long poll waits for. Never rejects.
   */
  waitForLog(run: RunId, ms: number, stop: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
