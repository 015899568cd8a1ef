import type { RunId } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';

/**
 * Everything worth telling that happens in an agent or a server, as one vocabulary: structured logs, metrics and
 * tests read the same events. A test waits for an event, never for time.
 */
export type Event =
  | { type: 'agent.registered'; worker: string; incarnation: string; adopted: number }
  | { type: 'agent.ready'; worker: string; jobs: number }
  | { type: 'agent.lease_lost'; worker: string; reason: string }
  | { type: 'agent.stopped'; worker: string; living: number }
  | { type: 'agent.fault'; worker: string; where: string; error: unknown }
  | { type: 'clock.off'; worker: string; skewMs: number }
  | { type: 'clock.right'; worker: string; skewMs: number }
  | { type: 'tzdata.apart'; worker: string; own: string; common: string }
  | { type: 'key.invalid'; key: string; problem: string }
  | { type: 'job.decided'; job: string; instant: number; why: string }
  | { type: 'run.armed'; run: RunId }
  | { type: 'run.claimed'; run: RunId; fence: string }
  | { type: 'run.refused'; run: RunId; code: string; reason: string }
  | { type: 'run.started'; run: RunId; at: number; lateMs: number | null }
  | { type: 'run.adopted'; run: RunId; phase: string }
  | { type: 'run.output'; run: RunId; bytes: number }
  | { type: 'run.kill_requested'; run: RunId; by: string }
  | { type: 'run.killed'; run: RunId; certain: boolean }
  | { type: 'run.ended'; run: RunId; record: Run }
  | { type: 'ledger.acked'; runs: number; chunks: number }
  | { type: 'ledger.away'; error: unknown; retryInMs: number }
  | { type: 'ledger.back'; awayMs: number }
  | { type: 'spool.damaged'; file: string; problem: string; setAside: string }
  /** What History will never take: kept in a file of the spool, so that the rest goes on. */
  | {
      type: 'spool.refused';
      what: 'record' | 'output' | 'alert';
      run: RunId | null;
      problem: string;
      file: string;
    }
  | { type: 'spool.full'; droppedBytes: number }
  | { type: 'disk.full'; path: string; error: unknown }
  | { type: 'keeper.closed'; run: RunId; owner: string }
  | {
      type: 'watchdog.looked';
      at: number;
      jobs: number;
      /** Revision of the job that was written last. */
      newest: string;
      live: number;
      overdue: number;
      dead: number;
      unreadable: number;
    }
  | {
      type: 'watchdog.overdue';
      job: string;
      lane: string;
      instant: number;
      count: number;
      why: string;
      ahead: number | null;
    }
  | { type: 'watchdog.dead'; worker: string; runs: readonly string[]; lastBeat: number | null; why: string }
  | { type: 'alert.raised'; id: string; title: string }
  | { type: 'alert.told'; channel: string; ids: readonly string[] }
  | { type: 'alert.untold'; channel: string; ids: readonly string[]; problem: string }
  | { type: 'settings.changed'; names: readonly string[] }
  /** They could not be read again; those known before hold on. */
  | { type: 'settings.stale'; error: unknown }
  /** What is wrong with a store, as found at a start. */
  | {
      type: 'store.finding';
      store: 'kv' | 'history';
      severity: 'error' | 'warning';
      code: string;
      message: string;
    }
  /** What keeps people from signing in by the provider, as found at a start, or when it was asked and did not answer. */
  | { type: 'provider.finding'; severity: 'error' | 'warning'; message: string }
  /** A store does not answer a server, whoever of it asks, and answers all of them again. */
  | { type: 'store.away'; store: 'kv' | 'history'; message: string }
  | { type: 'store.back'; store: 'kv' | 'history' }
  | { type: 'store.rebuilt'; store: 'kv' | 'history'; why: 'idle' | 'changed' | 'cut' }
  | {
      type: 'http.request';
      method: string;
      path: string;
      status: number;
      ms: number;
      requestId: string;
      who: string | null;
    }
  | { type: 'server.fault'; where: string; error: unknown }
  | { type: 'http.fault'; method: string; path: string; requestId: string; error: unknown };

export type EventOf<T extends Event['type']> = Extract<Event, { type: T }>;

export interface Events {
  emit(event: Event): void;
  /** Calls `see` for each event from now on; returns how to stop. A listener's throw reaches nobody else. */
  on(see: (event: Event) => void): () => void;
}
