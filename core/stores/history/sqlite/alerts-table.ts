import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { Alert, AlertProgress } from '#core/model/alert.ts';
import type { History, Page } from '#core/ports/history.ts';
import { transaction } from '../../sqlite/transaction.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { lastTold, tellings } from '../told.ts';

/** The outbox. */
export function alertsTable(db: DatabaseSync) {
  const insert = db.prepare('INSERT OR IGNORE INTO alert VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const change = db.prepare('UPDATE alert SET open = ?, due = ?, taker = ?, told = ?, body = ? WHERE id = ?');
  const get = db.prepare('SELECT body FROM alert WHERE id = ?');
  const due = db.prepare('SELECT body FROM alert WHERE due <= ? ORDER BY due, id LIMIT ?');
  const deliver = db.prepare('UPDATE delivery SET taker = ?1, until = ?2 WHERE taker = ?1 OR until <= ?3');
  const delivered = db.prepare('UPDATE delivery SET until = 0 WHERE taker = ?');
  const about = db.prepare('SELECT body FROM alert WHERE open = 1 AND about = ? ORDER BY at, id');
  const standing = db.prepare(
    'SELECT body FROM alert WHERE open = 1 AND about > ? ORDER BY about, at, id LIMIT ?',
  );
  const toldLately = db.prepare('SELECT body FROM alert WHERE told >= ? ORDER BY told DESC LIMIT 1000');

  const one = (id: string): Alert | null => {
    const row = get.get(id);
    return row === undefined ? null : read(row);
  };

  function put(next: Alert): void {
    const { id, open, due: dueAt, by } = next;
    change.run(Number(open), dueAt, by, lastTold(next), JSON.stringify(next), id);
  }

  return {
    add(alerts: readonly Alert[]): void {
      transaction(db, () => {
        for (const alert of alerts) {
          const { id, at, job, about: concerns, open, due: dueAt, by, expireAt } = alert;
          const group = job?.split('/')[0] ?? null;
          const state = [Number(open), dueAt, by, lastTold(alert)] as const;
          insert.run(id, at, group, concerns, ...state, expireAt, JSON.stringify(alert));
        }
      });
    },
    list({ groups, open, limit, cursor }: Parameters<History['alerts']>[0]): Page<Alert> {
      const parts: string[] = [];
      const values: SQLInputValue[] = [];
      const add = (sql: string, ...given: SQLInputValue[]) => {
        parts.push(sql);
        values.push(...given);
      };
      if (groups !== undefined) add(`grp IN (${groups.map(() => '?').join(', ')})`, ...groups);
      if (open !== undefined) add('open = ?', Number(open));
      if (cursor !== undefined) add('(at, id) < (?, ?)', ...decodeCursor(cursor, ['number', 'string']));
      const where = parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`;
      const rows = db
        .prepare(`SELECT body FROM alert ${where} ORDER BY at DESC, id DESC LIMIT ?`)
        .all(...values, limit + 1)
        .map(read);
      const items = rows.slice(0, limit);
      const last = items.at(-1);
      const more = rows.length > items.length && last !== undefined;
      return { items, next: more ? encodeCursor([last.at, last.id]) : null };
    },
    claim({ by, now, until, limit }: Parameters<History['claimAlerts']>[0]): Alert[] {
      return transaction(db, () => {
        const found = due.all(now, limit);
        if (found.length === 0 || deliver.run(by, until, now).changes === 0) return [];
        const taken = found.map((row): Alert => ({ ...read(row), due: until, by }));
        for (const alert of taken) put(alert);
        return taken;
      });
    },
    settle(by: string, progress: readonly AlertProgress[]): void {
      transaction(db, () => {
        delivered.run(by);
        for (const each of progress) {
          const held = one(each.id);
          if (held?.by === by) put({ ...held, ...each, open: held.open && each.partOf === null, by: null });
        }
      });
    },
    open(query: Parameters<History['openAlerts']>[0]): Alert[] {
      const rows =
        'abouts' in query
          ? [...new Set(query.abouts)].flatMap((each) => about.all(each))
          : standing.all(query.after, query.limit);
      return rows.map(read);
    },
    end(ids: readonly string[], at: number, untold: boolean): void {
      transaction(db, () => {
        for (const id of ids) {
          const held = one(id);
          if (held === null || !held.open) continue;
          if (!untold) put({ ...held, open: false, endedAt: at });
          else if (held.told.length === 0 && held.by === null)
            put({ ...held, open: false, endedAt: at, due: null });
        }
      });
    },
    toldSince: (since: number) => tellings(toldLately.all(since).map(read), since),
  };
}

const read = (row: Record<string, unknown>): Alert => JSON.parse(String(row.body));
