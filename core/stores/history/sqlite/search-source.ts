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
  const next = db.prepare(
    'SELECT offset, at, data FROM log WHERE run = ? AND offset > ? ORDER BY offset LIMIT 1',
  );
  return {
    async *runs() {
      for (let after = [Number.MAX_SAFE_INTEGER, 0, 0]; ; await turn()) {
        const rows = page.all(group, name, since, ...after);
        for (const { id } of rows) yield String(id);
        const last = rows.at(-1);
        if (last === undefined) return;
        after = [Number(last.due), Number(last.attempt), Number(last.seq)];
      }
    },
    // Each by a statement of its own: one that is under way may not be held over a turn, in which others write.
    *pieces(run) {
      for (let row = next.get(run, -1); row; row = next.get(run, Number(row.offset)))
        yield { offset: Number(row.offset), at: Number(row.at), data: row.data as Uint8Array };
    },
  };
}
