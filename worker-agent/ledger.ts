import type { RunId } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';

/**
 * What the agent owes to History. Everything handed over is on this host's disk (the spool) before it is
 * acknowledged, and reaches History in order, though History be away for an hour or the agent be killed.
 */
export interface Ledger {
  /** Resolves when the records are on disk (one fsync for all calls of a turn). Rejects with Refusal `spool_full` or `disk_full`. */
  record(runs: readonly Run[]): Promise<void>;
  /** A piece of a run's output from its offset in the original; never rejects: without room it is dropped and counted. */
  output(run: RunId, offset: number, data: Uint8Array, expireAt: number): void;
  /** Whether History has acknowledged this run's terminal record, waiting at most `ms`. */
  acked(run: RunId, ms: number): Promise<boolean>;
  /** Whether another record surely has room; when not, the agent claims no more. */
  hasRoom(): boolean;
  /** How many records wait for History. */
  waiting(): number;
}
