import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '#core/ports/clock.ts';
import type { Entry, Kv } from '#core/ports/kv.ts';
import { openSqlite } from '../../sqlite-file.ts';
import { type Disk, embeddedKv } from '../embedded/embedded-kv.ts';
import { KvState } from '../embedded/kv-state.ts';

const schema = {
  version: 1,
  sql: `
    CREATE TABLE entries (
      key TEXT PRIMARY KEY, value TEXT NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL,
      version INTEGER NOT NULL, lease INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE leases (id INTEGER PRIMARY KEY, ttl_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE counters (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, last_lease INTEGER NOT NULL) STRICT;
    INSERT INTO counters VALUES (1, 1, 0)`,
};

/**
 * The same store, made durable by a SQLite file: read whole when it is opened, written by one commit a turn before anybody
 * sees a change. As with a new leader of etcd, every lease begins its time anew when the file is opened.
 */
export function sqliteKv({ file, clock }: { file: string; clock: Clock }): Kv {
  const db = openSqlite(file, schema);
  const state = new KvState();
  const counters = db.prepare('SELECT revision, last_lease FROM counters').get();
  const leases = db
    .prepare('SELECT id, ttl_ms FROM leases')
    .all()
    .map((row) => ({
      id: String(row.id),
      ttlMs: Number(row.ttl_ms),
      deadline: clock.boot() + Number(row.ttl_ms),
      recorded: 0,
    }));
  state.restore({
    revision: Number(counters?.revision),
    lastLease: Number(counters?.last_lease),
    entries: [...read(db)],
    leases,
  });
  return embeddedKv({ state, clock, disk: diskOf(db) });
}

function* read(db: DatabaseSync): Generator<Entry> {
  for (const row of db
    .prepare('SELECT key, value, created, modified, version, lease FROM entries ORDER BY key')
    .iterate())
    yield Object.freeze({
      key: String(row.key),
      value: String(row.value),
      create: String(row.created),
      mod: String(row.modified),
      version: Number(row.version),
      lease: row.lease === null ? null : String(row.lease),
    });
}

function diskOf(db: DatabaseSync): Disk {
  const put = db.prepare('INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)');
  const drop = db.prepare('DELETE FROM entries WHERE key = ?');
  const grant = db.prepare('INSERT OR REPLACE INTO leases VALUES (?, ?)');
  const revoke = db.prepare('DELETE FROM leases WHERE id = ?');
  const count = db.prepare('UPDATE counters SET revision = ?, last_lease = ?');
  return {
    save({ keys, leases }, revision, lastLease) {
      if (keys.size === 0 && leases.size === 0) return;
      db.exec('BEGIN IMMEDIATE');
      try {
        for (const [key, entry] of keys)
          if (entry === undefined) drop.run(key);
          else
            put.run(
              key,
              entry.value,
              Number(entry.create),
              Number(entry.mod),
              entry.version,
              entry.lease === null ? null : Number(entry.lease),
            );
        for (const [id, lease] of leases)
          if (lease === undefined) revoke.run(Number(id));
          else grant.run(Number(id), lease.ttlMs);
        count.run(Number(revision), lastLease);
        db.exec('COMMIT');
      } catch (error) {
        // SQLite ends the transaction by itself on some errors (a full disk among them); only then there is none to take back.
        if (db.isTransaction) db.exec('ROLLBACK');
        throw error;
      }
    },
    close: () => db.close(),
  };
}
