import type { Alert } from '#core/model/alert.ts';
import type { RunId } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';

/**
 * What the agent owes to History. Everything handed over is on this host's disk (the spool) before it is
 * acknowledged, and reaches History in order, though History be away for an hour or the agent be killed.
 */
export interface Ledger {
  /**
   * Resolves when the records are on disk (one fsync for all calls of a turn), each with the alerts that it gives cause for. Rejects with
   * Refusal `spool_full` or `disk_full`.
   */
  record(runs: readonly Run[], alerts?: readonly Alert[]): Promise<void>;
  /** A piece of a run's output from its offset in the original; never rejects: without room it is dropped and counted. */
  output(run: RunId, offset: number, data: Uint8Array, expireAt: number): void;
  /** Whether History has acknowledged this run's terminal record, waiting at most `ms`. */
  acked(run: RunId, ms: number): Promise<boolean>;
  /** Whether another record surely has room; when not, the agent claims no more. */
  hasRoom(): boolean;
  /** How full the spool is, 0 to 1. */
  fullness(): number;
  /** How many records wait for History. */
  waiting(): number;
  /** When History had all of it, the last time that was seen, UTC ms; null: not yet. */
  emptyAt(): number | null;
}
