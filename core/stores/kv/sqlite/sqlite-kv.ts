import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '#core/ports/clock.ts';
import { naming, openDatabase } from '../../sqlite/open-database.ts';
import { type Connection, Core, EmbeddedKv } from '../embedded/embedded-kv.ts';
import { KvState } from '../embedded/kv-state.ts';
import { restore, sqliteJournal } from './journal.ts';
import { kvLayout } from './layout.ts';

/**
 * The store of one machine: the memory store, with every commit in the SQLite file before anybody hears of it.
 * Reads never touch the disk. While it is open no other process can open the file (Refusal `store_in_use`; the others are
 * openDatabase's). What the disk refuses throws KvError `unavailable`, and leaves everything as it was.
 */
export function sqliteKv({ file, clock }: { file: string; clock: Clock }): Connection {
  return sqliteKvOn(openDatabase(file, kvLayout, { exclusive: true }), { file, clock });
}

/** The same on a database that is open already; it is closed with the store. */
export function sqliteKvOn(db: DatabaseSync, { file, clock }: { file: string; clock: Clock }): Connection {
  const state = new KvState();
  try {
    naming(file, kvLayout, () => state.restore(restore(db, clock)));
  } catch (error) {
    db.close();
    throw error;
  }
  return new EmbeddedKv(new Core({ state, clock, journal: sqliteJournal(db, file, clock) }));
}
