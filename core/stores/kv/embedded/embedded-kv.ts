import type { Clock } from '#core/ports/clock.ts';
import {
  type FollowEvent,
  type Kv,
  KvError,
  type LeaseId,
  prefixRange,
  type Range,
  type RangeOptions,
  type RangeResult,
  type Revision,
  type Txn,
  type TxnResult,
} from '#core/ports/kv.ts';
import { checkKey, checkTxn } from './check-txn.ts';
import { evaluate, readRange } from './evaluate.ts';
import type { Keep, KvState, Lease } from './kv-state.ts';

/** Where changes are made durable before anybody sees them. A throw means that nothing of it was kept. */
export interface Disk {
  save(changes: ReturnType<KvState['unkept']>, revision: Revision, lastLease: number): void;
  close(): void;
}

interface Asked {
  act: () => unknown;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
}

const keep: Keep = { revisions: 10_000, chars: 8_000_000 };

/**
 * The store of one process: the state in memory, made durable by a disk where there is one. What is asked for in one turn
 * of the event loop is saved by one commit; answers and followers come after it.
 */
export function embeddedKv(deps: { state: KvState; clock: Clock; disk: Disk | null }): Kv {
  const { state, clock, disk } = deps;
  const followers = new Set<() => void>();
  const timers = new Map<LeaseId, () => void>();
  let asked: Asked[] = [];
  let closed = false;

  for (const lease of state.leases()) arm(lease);

  function ask<T>(act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (closed) return reject(new KvError('unavailable', 'the store is closed'));
      asked.push({ act, resolve, reject });
      if (asked.length > 1) return;
      // With a disk the turn ends first, so that one fsync serves all who ask in it.
      if (disk === null) queueMicrotask(flush);
      else setImmediate(flush);
    });
  }

  function flush(): void {
    const batch = asked;
    asked = [];
    const answers: (() => void)[] = [];
    const before = state.revision;
    for (const { act, resolve, reject } of batch) {
      const mark = state.mark();
      try {
        const value = act() as never;
        answers.push(() => resolve(value));
      } catch (error) {
        state.undoTo(mark);
        answers.push(() => reject(error));
      }
    }
    try {
      disk?.save(state.unkept(), state.revision, state.lastLease);
    } catch (error) {
      state.undoTo(0);
      const cause = error instanceof Error ? error.message : String(error);
      const failed = new KvError('unavailable', `the store could not be written: ${cause}`, { cause: error });
      for (const { reject } of batch) reject(failed);
      return;
    }
    state.keep();
    state.trim(keep);
    if (state.revision !== before) for (const tell of [...followers]) tell();
    for (const answer of answers) answer();
  }

  /** Watches the lease's end; renewing moves the deadline and not the timer. */
  function arm(lease: Lease): void {
    timers.get(lease.id)?.();
    const restMs = lease.deadline - clock.boot();
    timers.set(
      lease.id,
      clock.after(Math.max(0, restMs), () => {
        if (lease.deadline > clock.boot()) return arm(lease);
        timers.delete(lease.id);
        end(lease);
      }),
    );
  }

  function end(lease: Lease): void {
    ask(() => {
      if (state.lease(lease.id) !== undefined) state.revoke(lease);
    }).catch(() => {
      // A full disk, say: the lease is over for all who look, and its keys go with the next try.
      if (!closed)
        timers.set(
          lease.id,
          clock.after(1_000, () => end(lease)),
        );
    });
  }

  function living(id: LeaseId): Lease | null {
    const lease = state.lease(id);
    return lease !== undefined && lease.deadline > clock.boot() ? lease : null;
  }

  return {
    async range(range: Range, options: RangeOptions = {}): Promise<RangeResult> {
      checkKey(range);
      if (closed) throw new KvError('unavailable', 'the store is closed');
      return { ...readRange(state, range, options), revision: state.revision };
    },

    txn(txn: Txn): Promise<TxnResult> {
      try {
        checkTxn(txn);
      } catch (error) {
        return Promise.reject(error);
      }
      return ask(() => evaluate(state, txn));
    },

    grant: (ttlMs) =>
      ask(() => {
        const lease = state.grant(ttlMs, clock.boot() + ttlMs);
        arm(lease);
        return lease.id;
      }),

    async renew(id) {
      const lease = living(id);
      if (lease === null) return 0;
      lease.deadline = clock.boot() + lease.ttlMs;
      return lease.ttlMs;
    },

    revoke: (id) =>
      ask(() => {
        timers.get(id)?.();
        timers.delete(id);
        const lease = state.lease(id);
        if (lease !== undefined) state.revoke(lease);
      }),

    follow(prefix, stop, see) {
      return new Promise((resolve, reject) => {
        let seen: Revision | null = null;
        let scheduled = false;
        const done = (error?: unknown) => {
          followers.delete(tell);
          stop.removeEventListener('abort', end);
          if (error === undefined) resolve();
          else reject(error);
        };
        const end = () => done();
        const deliver = () => {
          scheduled = false;
          if (!followers.has(tell)) return;
          try {
            for (const event of eventsSince(prefix, seen)) {
              seen = event.revision;
              see(event);
              if (!followers.has(tell)) return;
            }
          } catch (error) {
            done(error);
          }
        };
        const tell = () => {
          if (scheduled) return;
          scheduled = true;
          queueMicrotask(deliver);
        };
        if (stop.aborted || closed) return resolve();
        stop.addEventListener('abort', end, { once: true });
        followers.add(tell);
        tell();
      });
    },

    async compact(revision) {
      state.compact(revision);
    },

    async close() {
      if (closed) return;
      if (asked.length > 0) flush();
      closed = true;
      for (const cancel of timers.values()) cancel();
      disk?.close();
    },
  };

  function eventsSince(prefix: string, seen: Revision | null): FollowEvent[] {
    const { revision } = state;
    const changes = seen === null ? null : state.changesAfter(seen, prefix);
    if (changes === null) {
      const { entries } = readRange(state, prefixRange(prefix), {});
      return [{ type: 'list', entries, revision }];
    }
    return changes.map((told) => ({ type: 'changes', ...told }));
  }
}
