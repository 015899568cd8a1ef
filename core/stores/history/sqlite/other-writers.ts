import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '#core/ports/clock.ts';

const lookEveryMs = 200;

/** Tells, while somebody waits, that another process has written to the same file: SQLite itself tells nobody. */
export function otherWriters(db: DatabaseSync, clock: Clock, wrote: () => void) {
  const query = db.prepare('PRAGMA data_version');
  let waiting = 0;
  let cancel: (() => void) | null = null;
  /** Changes with each commit of another connection, and not with our own. */
  const version = () => query.get()?.data_version;

  function look(since: unknown): void {
    cancel = clock.after(lookEveryMs, () => {
      const now = version();
      if (now !== since) wrote();
      look(now);
    });
  }

  return {
    /** `wait` may end sooner by what others write. */
    async during(wait: () => Promise<void>): Promise<void> {
      waiting += 1;
      if (cancel === null) look(version());
      try {
        await wait();
      } finally {
        waiting -= 1;
        if (waiting === 0) this.close();
      }
    },
    close(): void {
      cancel?.();
      cancel = null;
    },
  };
}
