import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '#core/ports/clock.ts';
import { type Entry, KvError } from '#core/ports/kv.ts';
import { sqliteError } from '../../sqlite/sqlite-error.ts';
import { transaction } from '../../sqlite/transaction.ts';
import type { Batch, Journal } from '../embedded/embedded-kv.ts';
import type { Restored } from '../embedded/kv-state.ts';

/** Rows read at a time on opening: twice as fast as one by one, and less memory than all at once. */
const pageRows = 1_000;

type EntryRow = [
  id: number,
  key: string,
  value: string,
  created: number,
  mod: number,
  version: number,
  lease: string | null,
];

/** Reads everything that stands in the database. */
export function restore(db: DatabaseSync, clock: Clock): Restored {
  const head = db.prepare('SELECT revision, last_lease FROM head').get();
  const leases = db.prepare('SELECT id, ttl, ends FROM lease').all();
  return {
    revision: Number(head?.revision),
    lastLease: Number(head?.last_lease),
    entries: entries(db),
    leases: leases.map(({ id, ttl, ends }) => {
      // A wall clock that was set back meanwhile must not make a lease last longer than ever promised.
      const restMs = Math.min(Number(ends) - clock.now(), Number(ttl));
      const deadline = clock.boot() + restMs;
      return { id: String(id), ttlMs: Number(ttl), deadline, recorded: deadline };
    }),
  };
}

function* entries(db: DatabaseSync): Generator<Entry> {
  const page = db.prepare(
    `SELECT id, key, value, created, mod, version, lease FROM entry WHERE id > ? ORDER BY id LIMIT ${pageRows}`,
  );
  page.setReturnArrays(true);
  for (let after = 0; ; ) {
    const rows = page.all(after) as unknown as EntryRow[];
    for (const [id, key, value, created, modified, version, lease] of rows) {
      after = id;
      const mod = String(modified);
      // One text for both where it is the same: with 100,000 keys that counts.
      const create = created === modified ? mod : String(created);
      yield Object.freeze({ key, value, create, mod, version, lease });
    }
    if (rows.length < pageRows) return;
  }
}

/** Writes each batch as one SQLite transaction. */
export function sqliteJournal(db: DatabaseSync, file: string, clock: Clock): Journal {
  const put = db.prepare(
    `INSERT INTO entry (key, value, created, mod, version, lease) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
     value = excluded.value, created = excluded.created, mod = excluded.mod, version = excluded.version, lease = excluded.lease`,
  );
  const remove = db.prepare('DELETE FROM entry WHERE key = ?');
  const lease = db.prepare('REPLACE INTO lease VALUES (?, ?, ?)');
  const removeLease = db.prepare('DELETE FROM lease WHERE id = ?');
  const head = db.prepare('UPDATE head SET revision = ?, last_lease = ?');

  const write = (batch: Batch) => {
    for (const [key, entry] of batch.keys) {
      if (entry)
        put.run(key, entry.value, Number(entry.create), Number(entry.mod), entry.version, entry.lease);
      else remove.run(key);
    }
    const toWall = clock.now() - clock.boot();
    for (const [id, stands] of batch.leases) {
      if (stands) lease.run(id, Math.round(stands.ttlMs), Math.round(stands.recorded + toWall));
      else removeLease.run(id);
    }
    head.run(Number(batch.revision), batch.lastLease);
  };

  return {
    commit(batch) {
      try {
        transaction(db, () => write(batch));
      } catch (error) {
        const found = sqliteError(error);
        if (!found) throw error;
        const code = found.uncertain ? 'unknown' : 'unavailable';
        throw new KvError(code, `store ${file}: cannot write: ${found.text}`, { cause: error });
      }
    },
    close: () => db.close(),
  };
}
