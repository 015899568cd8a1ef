import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '#core/ports/clock.ts';
import { type Entry, KvError } from '#core/ports/kv.ts';
import { sqliteError } from '../../sqlite/sqlite-error.ts';
import { transaction } from '../../sqlite/transaction.ts';
import type { Batch, Journal } from '../embedded/embedded-kv.ts';
import type { Restored } from '../embedded/kv-state.ts';

type Column = string | number | null;

/** Reads everything that stands in the database. */
export function restore(db: DatabaseSync, clock: Clock): Restored {
  const rows = (sql: string): Iterable<Column[]> => {
    const statement = db.prepare(sql);
    statement.setReturnArrays(true);
    return statement.iterate() as Iterable<unknown> as Iterable<Column[]>;
  };
  const [head] = rows('SELECT revision, last_lease FROM head');
  const entries: Entry[] = [];
  for (const [key, value, created, modified, version, lease] of rows('SELECT * FROM entry ORDER BY key')) {
    const mod = String(modified);
    // One text for both where it is the same: with 100,000 keys that counts.
    const create = created === modified ? mod : String(created);
    entries.push(
      Object.freeze({
        key: String(key),
        value: String(value),
        create,
        mod,
        version: Number(version),
        lease: lease === null ? null : String(lease),
      }),
    );
  }
  const leases = [...rows('SELECT id, ttl, ends FROM lease')].map(([id, ttl, ends]) => {
    // A wall clock that was set back meanwhile must not make a lease last longer than ever promised.
    const restMs = Math.min(Number(ends) - clock.now(), Number(ttl));
    return {
      id: String(id),
      ttlMs: Number(ttl),
      deadline: clock.boot() + restMs,
      recorded: clock.boot() + restMs,
    };
  });
  return { revision: Number(head?.[0]), lastLease: Number(head?.[1]), entries, leases };
}

/** Writes each batch as one SQLite transaction. */
export function sqliteJournal(db: DatabaseSync, file: string, clock: Clock): Journal {
  const put = db.prepare('REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?)');
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
