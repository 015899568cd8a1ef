import type { DatabaseSync } from 'node:sqlite';
import { transaction } from '../../sqlite/transaction.ts';

/** How many rows one slice deletes at most: some ms, in which nothing else of this process moves. */
const sliceRows = 200;

/** Forgets what has expired, slice by slice: `slice` answers how many runs went, or null when nothing was left. */
export function expiry(db: DatabaseSync) {
  const logs = db.prepare('DELETE FROM log WHERE rowid IN (SELECT rowid FROM log WHERE expire <= ? LIMIT ?)');
  const expired = db.prepare('SELECT seq, id FROM run WHERE expire <= ? LIMIT ?');
  const ownLogs = db.prepare('DELETE FROM log WHERE rowid IN (SELECT rowid FROM log WHERE run = ? LIMIT ?)');
  const alerts = db.prepare(
    'DELETE FROM alert WHERE rowid IN (SELECT rowid FROM alert WHERE expire <= ? LIMIT ?)',
  );
  const drop = db.prepare('DELETE FROM run WHERE seq = ?');

  return {
    slice(now: number): number | null {
      return transaction(db, () => {
        let left = sliceRows - Number(logs.run(now, sliceRows).changes);
        left -= Number(alerts.run(now, left).changes);
        let gone = 0;
        for (const { seq, id } of expired.all(now, left)) {
          if (left <= 0) break;
          // Pieces that would expire after their run go with it, and before it.
          left -= Number(ownLogs.run(String(id), left).changes);
          if (left <= 0) break;
          drop.run(Number(seq));
          left--;
          gone++;
        }
        return left === sliceRows ? null : gone;
      });
    },
  };
}
