import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Refusal } from '#core/model/refusal.ts';

/**
 * Opens a SQLite file as both stores want it: only its owner may read it (the -wal and -shm beside it take its mode), WAL with
 * every commit synced, and locked, so that a second process on the same file is refused by name. Brings an empty file to
 * `schema`, whose number is kept in user_version; refuses a file of a newer one.
 */
export function openSqlite(file: string, schema: { version: number; sql: string }): DatabaseSync {
  if (file !== ':memory:' && !existsSync(file)) closeSync(openSync(file, 'a', 0o600));
  if (file !== ':memory:') chmodSync(file, 0o600);
  const db = new DatabaseSync(file);
  try {
    db.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 200;',
    );
    db.exec('BEGIN IMMEDIATE');
    const found = Number(db.prepare('PRAGMA user_version').get()?.user_version ?? 0);
    if (found > schema.version)
      throw new Refusal(
        'store_newer',
        `${file}: was written by a newer cronfleet (format ${found}); expected at most format ${schema.version}`,
      );
    if (found === 0) db.exec(`${schema.sql}; PRAGMA user_version = ${schema.version}`);
    db.exec('COMMIT');
    return db;
  } catch (error) {
    db.close();
    throw explain(file, error);
  }
}

function explain(file: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof Refusal) return error;
  if (/locked|busy/i.test(error.message))
    return new Refusal(
      'store_in_use',
      `${file}: another process has it open; expected one cronfleet for each data folder`,
    );
  if (/not a database|malformed|disk image/i.test(error.message))
    return new Refusal(
      'store_damaged',
      `${file}: is not a readable SQLite database (${error.message}); restore it from a backup, or move it away to begin anew`,
    );
  return error;
}
