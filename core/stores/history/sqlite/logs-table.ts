import type { DatabaseSync } from 'node:sqlite';
import type { History, LogChunk, LogRead } from '#core/ports/history.ts';
import { transaction } from '../../sqlite/transaction.ts';

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
  const runsOf = db.prepare(
    'SELECT id, due FROM run WHERE grp = ? AND name = ? AND due >= ? ORDER BY due DESC, attempt DESC, id DESC',
  );
  const pieces = db.prepare('SELECT offset, at, data FROM log WHERE run = ? ORDER BY offset');
  const expire = db.prepare(
    'DELETE FROM log WHERE rowid IN (SELECT rowid FROM log WHERE expire <= ? LIMIT 500)',
  );

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
      const parts: Uint8Array[] = [];
      let next = start;
      let left = maxBytes;
      let dropped = 0;
      for (const { offset, data } of from(run, start)) {
        if (left === 0) break;
        // A gap ends an answer that has something to say, so that `next` minus its bytes is where they stood.
        if (offset > next) {
          if (parts.length > 0) break;
          dropped += offset - next;
          next = offset;
        }
        const part = data.subarray(Math.max(0, next - offset)).subarray(0, left);
        if (part.length === 0) continue;
        parts.push(part);
        next += part.length;
        left -= part.length;
      }
      return { data: Buffer.concat(parts), from: start, next, dropped };
    },
    search({ group, name, text, since, maxBytes, limit }: Parameters<History['search']>[0]) {
      const lines: Awaited<ReturnType<History['search']>>['lines'] = [];
      let left = maxBytes;
      for (const { id } of runsOf.iterate(group, name, since)) {
        const run = String(id);
        for (const { line, offset, at } of linesOf(pieces.iterate(run))) {
          left -= line.length;
          if (line.includes(text)) lines.push({ run, at, offset, line: line.slice(0, 4_096) });
          if (left <= 0 || lines.length >= limit) return { lines, complete: false };
        }
      }
      return { lines, complete: true };
    },
    expire: (now: number) => expire.run(now),
  };
}

/** Lines with where they began in the output; a gap ends a line. */
function* linesOf(
  pieces: Iterable<Record<string, unknown>>,
): Generator<{ line: string; offset: number; at: number }> {
  let rest: Uint8Array = new Uint8Array();
  let start = 0;
  let at = 0;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  for (const piece of pieces) {
    const offset = Number(piece.offset);
    const data = piece.data as Uint8Array;
    if (offset !== start + rest.length) {
      if (rest.length > 0) yield { line: text(rest), offset: start, at };
      rest = new Uint8Array();
      start = offset;
    }
    at = Number(piece.at);
    let whole = Buffer.concat([rest, data]);
    for (let end = whole.indexOf(10); end >= 0; end = whole.indexOf(10)) {
      yield { line: text(whole.subarray(0, end)), offset: start, at };
      whole = whole.subarray(end + 1);
      start += end + 1;
    }
    rest = whole;
  }
  if (rest.length > 0) yield { line: text(rest), offset: start, at };
}
