import type { DatabaseSync } from 'node:sqlite';
import { durationOf, lateMs, type Run } from '#core/model/run.ts';
import { transaction } from '../../sqlite/transaction.ts';
import { keepFirst } from '../keep-first.ts';
import { dueOf } from '../run-order.ts';
import { newestFirst, readRun } from './run-list.ts';

/** The ledger: one row a run. */
export function runsTable(db: DatabaseSync) {
  const get = db.prepare('SELECT body FROM run WHERE id = ?');
  const insert = db.prepare(
    `INSERT INTO run (id, grp, name, cause, due, attempt, instant, state, worker, until, count, duration, late, expire, body)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  // What identifies a run stays, and its row with it: indexes that hold nothing else are not written again.
  const change = db.prepare(
    'UPDATE run SET state = ?, worker = ?, until = ?, count = ?, duration = ?, late = ?, expire = ?, body = ? WHERE id = ?',
  );
  const move = db.prepare('UPDATE run SET due = ?, instant = ? WHERE id = ?');
  const own = db.prepare(
    `SELECT body FROM run WHERE grp = ? AND name = ? AND due = ? AND instant = due ${newestFirst}`,
  );
  const around = db.prepare(
    'SELECT body FROM run WHERE grp = ? AND name = ? AND until >= ? AND instant < ? ORDER BY until LIMIT 5',
  );
  const latest = db.prepare(`SELECT body FROM run WHERE grp = ? AND name = ? ${newestFirst} LIMIT 1`);

  const one = (id: string): Run | null => {
    const row = get.get(id);
    return row === undefined ? null : readRun(row);
  };

  function save(held: Run | null, run: Run): void {
    const { id, group, name, trigger, attempt, instant, state, worker, until, count, expireAt } = run;
    const late = trigger === 'schedule' && attempt === 1 ? lateMs(run) : null;
    const changing = [
      state,
      worker,
      until,
      count,
      durationOf(run),
      late,
      expireAt,
      JSON.stringify(run),
    ] as const;
    if (held === null) {
      insert.run(id, group, name, trigger, dueOf(run), attempt, instant, ...changing);
      return;
    }
    change.run(...changing, id);
    if (dueOf(held) !== dueOf(run)) move.run(dueOf(run), instant, id);
  }

  return {
    one,
    save(runs: readonly Run[]): void {
      transaction(db, () => {
        for (const run of runs) {
          const held = one(run.id);
          const kept = keepFirst(held, run);
          if (kept !== null) save(held, kept);
        }
      });
    },
    covering(group: string, name: string, instant: number): Run[] {
      return [...own.all(group, name, instant), ...around.all(group, name, instant, instant)].map(readRun);
    },
    latest(jobs: readonly string[]): Map<string, Run> {
      const found = new Map<string, Run>();
      for (const job of jobs) {
        const [group = '', name = ''] = job.split('/');
        const row = latest.get(group, name);
        if (row !== undefined) found.set(job, readRun(row));
      }
      return found;
    },
  };
}
