import { type Kv, KvError } from '#core/ports/kv.ts';

/** The same store, whose reads are asked again while it is away or slow, as long as `again` says so. Writes are the batcher's to repeat. */
export function patientReads(kv: Kv, again: (attempt: number) => Promise<boolean>): Kv {
  return {
    async range(range, options) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await kv.range(range, options);
        } catch (error) {
          // Only what the store's absence explains; a compacted revision, say, is for the reader to know.
          const away = error instanceof KvError && (error.code === 'unknown' || error.code === 'unavailable');
          if (!away || !(await again(attempt))) throw error;
        }
      }
    },
    txn: (txn) => kv.txn(txn),
    grant: (ttlMs) => kv.grant(ttlMs),
    renew: (lease) => kv.renew(lease),
    revoke: (lease) => kv.revoke(lease),
    follow: (prefix, stop, see) => kv.follow(prefix, stop, see),
    compact: (revision) => kv.compact(revision),
    close: () => kv.close(),
  };
}
