import type { DatabaseSync } from 'node:sqlite';
import type { LogChunk, LogRead } from '#core/ports/history.ts';
import { transaction } from '../../sqlite/transaction.ts';
import { LogAnswer } from '../log-answer.ts';

interface Piece {
  offset: number;
  data: Uint8Array;
}

/** Output, piece by piece. */
export function logsTable(db: DatabaseSync) {
  const put = db.prepare('INSERT OR IGNORE INTO log VALUES (?, ?, ?, ?, ?, ?, ?)');
  const before = db.prepare(
    'SELECT offset, data FROM log WHERE run = ? AND offset <= ? ORDER BY offset DESC LIMIT 1',
  );
  const after = db.prepare('SELECT offset, data FROM log WHERE run = ? AND offset > ? ORDER BY offset');

  function* from(run: string, at: number): Generator<Piece> {
    const first = before.get(run, at);
    if (first !== undefined) yield { offset: Number(first.offset), data: first.data as Uint8Array };
    for (const row of after.iterate(run, at))
      yield { offset: Number(row.offset), data: row.data as Uint8Array };
  }

  return {
    save(chunks: readonly LogChunk[]): void {
      transaction(db, () => {
        for (const { run, seq, offset, data, at, expireAt } of chunks)
          put.run(run, seq, offset, data.length, at, expireAt, data);
      });
    },
    read(run: string, start: number, maxBytes: number): LogRead {
      const answer = new LogAnswer(start, maxBytes);
      for (const piece of from(run, start)) if (!answer.take(piece)) break;
      return answer.read();
    },
  };
}
