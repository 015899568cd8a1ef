import type { DatabaseSync } from 'node:sqlite';
import type { History } from '#core/ports/history.ts';
import { type Line, LineSplitter } from './line-splitter.ts';
import { newestFirst } from './run-list.ts';

/** How much is read in one go: some ms, in which nothing else of this process moves. */
const sliceBytes = 1_048_576;
const sliceRuns = 500;
/** Of a line found, this much is told. */
const shownChars = 4_096;

type Search = Parameters<History['search']>[0];
type Found = Awaited<ReturnType<History['search']>>;

/** Looks through the logs of a job's runs, newest run first; `turn` lets others have a turn between two slices. */
export async function searchLogs(db: DatabaseSync, query: Search, turn: () => Promise<void>): Promise<Found> {
  const { group, name, text, since, maxBytes, limit } = query;
  const runs = db.prepare(
    `SELECT due, attempt, seq, id FROM run INDEXED BY run_job
     WHERE grp = ? AND name = ? AND due >= ? AND (due, attempt, seq) < (?, ?, ?) ${newestFirst} LIMIT ${sliceRuns}`,
  );
  const nextPiece = db.prepare(
    'SELECT offset, at, data FROM log WHERE run = ? AND offset > ? ORDER BY offset LIMIT 1',
  );
  const lines: Found['lines'] = [];
  let left = maxBytes;
  let untilTurn = sliceBytes;

  /** False when it has to end early. */
  const searchRun = async (run: string): Promise<boolean> => {
    const splitter = new LineSplitter();
    const look = (found: Iterable<Line>): boolean => {
      for (const { line, at, offset } of found) {
        if (!line.includes(text)) continue;
        if (lines.length >= limit) return false;
        lines.push({ run, at, offset, line: line.slice(0, shownChars) });
      }
      return true;
    };
    for (let piece = nextPiece.get(run, -1); piece; piece = nextPiece.get(run, Number(piece.offset))) {
      const data = piece.data as Uint8Array;
      left -= data.length;
      untilTurn -= data.length;
      if (left < 0) return false;
      if (!look(splitter.push({ offset: Number(piece.offset), at: Number(piece.at), data }))) return false;
      if (untilTurn > 0) continue;
      untilTurn = sliceBytes;
      await turn();
    }
    return look(splitter.end());
  };

  for (let after = [Number.MAX_SAFE_INTEGER, 0, 0]; ; ) {
    const page = runs.all(group, name, since, ...after);
    for (const { id } of page) if (!(await searchRun(String(id)))) return { lines, complete: false };
    const last = page.at(-1);
    if (last === undefined) return { lines, complete: true };
    after = [Number(last.due), Number(last.attempt), Number(last.seq)];
    await turn();
  }
}
