import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import { type Kv, KvError } from '#core/ports/kv.ts';

/** What lasts is told again after so long. */
const againMs = 60_000;

/**
 * The same store, which says when it refuses what an agent must write: out of space, or not allowed. Whoever asked asks again, so that
 * nobody would hear of it; a store that is away is known by its silence, and told of by whoever watches it.
 */
export function tellingOfRefusals(kv: Kv, { clock, events }: { clock: Clock; events: Events }): Kv {
  const told = new Map<KvError['code'], number>();
  const telling = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (error instanceof KvError && (error.code === 'full' || error.code === 'forbidden')) tell(error);
      throw error;
    }
  };
  const tell = ({ code, message }: KvError) => {
    const last = told.get(code);
    if (last !== undefined && clock.boot() - last < againMs) return;
    told.set(code, clock.boot());
    events.emit({ type: 'store.finding', store: 'kv', severity: 'error', code: `store_${code}`, message });
  };
  return {
    range: (range, options) => telling(kv.range(range, options)),
    txn: (txn) => telling(kv.txn(txn)),
    grant: (ttlMs) => telling(kv.grant(ttlMs)),
    renew: (lease) => telling(kv.renew(lease)),
    revoke: (lease) => telling(kv.revoke(lease)),
    follow: (prefix, stop, see) => telling(kv.follow(prefix, stop, see)),
    compact: (revision) => kv.compact(revision),
    close: () => kv.close(),
  };
}
