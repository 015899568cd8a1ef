import type { DatabaseSync } from 'node:sqlite';
import type { History } from '#core/ports/history.ts';
import type { SearchSource } from '../log-search.ts';
import { newestFirst } from './run-list.ts';

const pageRuns = 500;

/** What a search reads; `turn` lets others have a turn between two pages of runs. */
export function searchSource(
  db: DatabaseSync,
  { group, name, since }: Parameters<History['search']>[0],
  turn: () => Promise<void>,
): SearchSource {
  const page = db.prepare(
    `SELECT due, attempt, seq, id FROM run INDEXED BY run_job
     WHERE grp = ? AND name = ? AND due >= ? AND (due, attempt, seq) < (?, ?, ?) ${newestFirst} LIMIT ${pageRuns}`,
  );
  const around = db.prepare(
    'SELECT offset, at, data FROM log WHERE run = ? AND offset <= ? ORDER BY offset DESC LIMIT 1',
  );
  const next = db.prepare(
    'SELECT offset, at, data FROM log WHERE run = ? AND offset > ? ORDER BY offset LIMIT 1',
  );
  return {
    keyShape: ['number', 'number', 'number'],
    async *runs(first) {
      const [due = Number.MAX_SAFE_INTEGER, attempt = 0, seq = 0] = (first ?? []).map(Number);
      for (let after = [due, attempt, seq + 1]; ; await turn()) {
        const rows = page.all(group, name, since, ...after);
        for (const row of rows) {
          after = [Number(row.due), Number(row.attempt), Number(row.seq)];
          yield { id: String(row.id), due: Number(row.due), key: after };
        }
        if (rows.length === 0) return;
      }
    },
    // Each by a statement of its own: one that is under way may not be held over a turn, in which others write.
    *pieces(run, start) {
      const first = around.get(run, start) ?? next.get(run, start);
      for (let row = first; row; row = next.get(run, Number(row.offset)))
        yield { offset: Number(row.offset), at: Number(row.at), data: row.data as Uint8Array };
    },
  };
}
