import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Refusal } from '#core/model/refusal.ts';
import { type SqliteError, sqliteError } from './sqlite-error.ts';

/** What a file holds. Its steps are never edited once shipped: a change of the layout is a further step. */
export interface Layout {
  /** For people. */
  what: string;
  /** Stands in the file's header and tells it from any other SQLite file. */
  applicationId: number;
  /** Step n brings a file from version n to n + 1; version 0 is empty. */
  steps: readonly string[];
}

/**
 * Opens or makes a database that only its owner may read, that no acknowledged commit is lost from (WAL,
 * synchronous=FULL: an fsync each), brought to the newest layout. `exclusive`: nobody else may have it open meanwhile.
 *
 * Refusals name the file: `store_in_use`, `store_corrupt`, `store_foreign` (not ours), `store_newer` (of a later
 * cronfleet), `store_unusable` (permissions, no space, ...).
 */
export function openDatabase(
  file: string,
  layout: Layout,
  { exclusive }: { exclusive: boolean },
): DatabaseSync {
  return naming(file, layout, () => {
    if (file !== ':memory:') makePrivate(file);
    const db = new DatabaseSync(file);
    try {
      // Before anything touches the file: in exclusive mode WAL then needs no shared memory either.
      if (exclusive) db.exec('PRAGMA locking_mode = EXCLUSIVE');
      else db.exec('PRAGMA busy_timeout = 5000');
      // BEGIN EXCLUSIVE takes the lock at once, where a mere read would leave a second opener undetected until it writes.
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE');
      migrate(db, file, layout);
      db.exec('COMMIT');
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** Runs `work` on the file; what SQLite or the system says against it becomes a Refusal that names it. */
export function naming<T>(file: string, { what }: Layout, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const found = sqliteError(error);
    if (found) throw refusal(file, what, found, error);
    if (isSystemError(error)) throw new Refusal('store_unusable', `${what} ${file}: ${error.message}`);
    throw error;
  }
}

function refusal(file: string, what: string, { primary, text }: SqliteError, cause: unknown): unknown {
  switch (primary) {
    case 'BUSY':
      return new Refusal(
        'store_in_use',
        `${what} ${file}: is in use by another process; stop that one, or choose another folder`,
      );
    case 'CORRUPT':
    case 'NOTADB':
      return new Refusal(
        'store_corrupt',
        `${what} ${file}: is damaged or no database (${text}); put it aside, or bring it back from a backup`,
      );
    case 'CANTOPEN':
    case 'READONLY':
    case 'FULL':
    case 'IOERR':
    case 'PERM':
      return new Refusal('store_unusable', `${what} ${file}: ${text}`);
    default:
      return cause;
  }
}

/** SQLite gives the files beside it (-wal, -shm) the mode of the database. */
function makePrivate(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  closeSync(openSync(file, 'a', 0o600));
  for (const path of [file, `${file}-wal`, `${file}-shm`]) if (existsSync(path)) chmodSync(path, 0o600);
}

function migrate(db: DatabaseSync, file: string, { what, applicationId, steps }: Layout): void {
  const version = pragma(db, 'user_version');
  const found = pragma(db, 'application_id');
  const empty = db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
  if (empty) db.exec(`PRAGMA application_id = ${applicationId}`);
  else if (found !== applicationId)
    throw new Refusal(
      'store_foreign',
      `${what} ${file}: is a database of something else; choose another file`,
    );
  if (version > steps.length)
    throw new Refusal(
      'store_newer',
      `${what} ${file}: has layout ${version}, this cronfleet knows up to ${steps.length}; use a newer cronfleet`,
    );
  for (const step of steps.slice(version)) db.exec(step);
  if (version < steps.length) db.exec(`PRAGMA user_version = ${steps.length}`);
}

function pragma(db: DatabaseSync, name: string): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error;
}
