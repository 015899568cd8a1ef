import type { RunId } from '#core/model/ids.ts';
import type { History } from '#core/ports/history.ts';
import { type CursorPart, type CursorShape, decodeCursor, encodeCursor } from './cursor.ts';
import { type Line, LineSplitter } from './line-splitter.ts';

/** How much is read in one go: some ms, in which nothing else of this process moves. */
const sliceBytes = 1_048_576;
/** Of a line found, this much is told. */
const shownChars = 4_096;
/** And of all together: of control characters an answer has seven times as many bytes, and Lambda lets 6 MB through. */
const allShownChars = 524_288;

type Search = Parameters<History['search']>[0];
type Found = Awaited<ReturnType<History['search']>>;
type Some<T> = Iterable<T> | AsyncIterable<T>;

/** What a run has its place in the order by, which no other has. */
type Key = readonly CursorPart[];

export interface SearchSource {
  keyShape: CursorShape;
  /** The job's runs that were due since, newest first, from the one with this key on. */
  runs(first: Key | null): Some<{ id: RunId; due: number; key: Key }>;
  /** A run's pieces in order, from the one around `start` on. */
  pieces(run: RunId, start: number): Some<{ offset: number; at: number; data: Uint8Array }>;
}

/**
 * Looks through the logs of a job's runs, newest run first; `turn` lets others have a turn between two slices. Refusal
 * `query_invalid` for a cursor that is not of this search.
 */
export async function searchLogs(
  source: SearchSource,
  { text, maxBytes, limit, cursor }: Pick<Search, 'text' | 'maxBytes' | 'limit' | 'cursor'>,
  turn: () => Promise<void>,
): Promise<Found> {
  const lines: Found['lines'] = [];
  let left = maxBytes;
  let untilTurn = sliceBytes;
  let charsLeft = allShownChars;
  // A byte less than what is looked for: so it is whole in one of two parts of a line, and never in both.
  const overlap = Buffer.byteLength(text) - 1;

  /** Where a later search goes on, when this one has to end early. */
  const searchRun = async (run: RunId, start: number): Promise<number | null> => {
    const splitter = new LineSplitter(overlap, start);
    const look = (found: Iterable<Line>): number | null => {
      for (const { line, at, offset } of found) {
        if (!line.includes(text)) continue;
        const shown = line.slice(0, shownChars);
        charsLeft -= shown.length;
        if (lines.length >= limit || charsLeft < 0) return offset;
        lines.push({ run, at, offset, line: shown });
      }
      return null;
    };
    for await (const { offset, at, data } of source.pieces(run, start)) {
      left -= data.length;
      untilTurn -= data.length;
      if (left < 0) return splitter.start;
      const before = Math.max(0, start - offset);
      const end = look(splitter.push({ offset: offset + before, at, data: data.subarray(before) }));
      if (end !== null) return end;
      if (untilTurn > 0) continue;
      untilTurn = sliceBytes;
      await turn();
    }
    return look(splitter.end());
  };

  const first = cursor === undefined ? null : decodeCursor(cursor, [...source.keyShape, 'number']);
  for await (const { id, due, key } of source.runs(first?.slice(0, -1) ?? null)) {
    const start = Number(first?.at(-1) ?? 0);
    // The run that an earlier search had come to may be gone by now; the next one is looked through from its beginning.
    const end = await searchRun(id, encodeCursor([...key, start]) === cursor ? start : 0);
    if (end !== null) return { lines, complete: false, next: encodeCursor([...key, end]), reachedAt: due };
  }
  return { lines, complete: true, next: null, reachedAt: null };
}
