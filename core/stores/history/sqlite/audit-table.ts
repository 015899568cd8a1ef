import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { AuditEntry, History, Page } from '#core/ports/history.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';

/** Who did what. */
export function auditTable(db: DatabaseSync) {
  const insert = db.prepare('INSERT OR IGNORE INTO audit VALUES (?, ?, ?, ?, ?, ?)');
  return {
    add(entry: AuditEntry): void {
      const group = entry.job?.split('/')[0] ?? null;
      insert.run(entry.id, entry.at, entry.who, entry.job, group, JSON.stringify(entry));
    },
    list(query: Parameters<History['audit']>[0]): Page<AuditEntry> {
      const parts: string[] = [];
      const values: SQLInputValue[] = [];
      const add = (sql: string, ...given: SQLInputValue[]) => {
        parts.push(sql);
        values.push(...given);
      };
      if (query.from !== undefined) add('at >= ?', query.from);
      if (query.to !== undefined) add('at < ?', query.to);
      if (query.who !== undefined) add('who = ?', query.who);
      if (query.job !== undefined) add('job = ?', query.job);
      if (query.groups !== undefined)
        add(`(grp IS NULL OR grp IN (${query.groups.map(() => '?').join(', ')}))`, ...query.groups);
      if (query.cursor !== undefined)
        add('(at, id) < (?, ?)', ...decodeCursor(query.cursor, ['number', 'string']));
      const where = parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`;
      const rows = db
        .prepare(`SELECT body FROM audit ${where} ORDER BY at DESC, id DESC LIMIT ?`)
        .all(...values, query.limit + 1);
      const items = rows.slice(0, query.limit).map((row): AuditEntry => JSON.parse(String(row.body)));
      const last = items.at(-1);
      const more = rows.length > items.length && last !== undefined;
      return { items, next: more ? encodeCursor([last.at, last.id]) : null };
    },
  };
}
