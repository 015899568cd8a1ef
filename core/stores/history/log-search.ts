import type { RunId } from '#core/model/ids.ts';
import type { History } from '#core/ports/history.ts';
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

export interface SearchSource {
  /** The job's runs that were due since, newest first. */
  runs(): Some<RunId>;
  /** A run's pieces in order. */
  pieces(run: RunId): Some<{ offset: number; at: number; data: Uint8Array }>;
}

/** Looks through the logs of a job's runs, newest run first; `turn` lets others have a turn between two slices. */
export async function searchLogs(
  source: SearchSource,
  { text, maxBytes, limit }: Pick<Search, 'text' | 'maxBytes' | 'limit'>,
  turn: () => Promise<void>,
): Promise<Found> {
  const lines: Found['lines'] = [];
  let left = maxBytes;
  let untilTurn = sliceBytes;
  let charsLeft = allShownChars;
  // A byte less than what is looked for: so it is whole in one of two parts of a line, and never in both.
  const overlap = Buffer.byteLength(text) - 1;

  /** False when it has to end early. */
  const searchRun = async (run: RunId): Promise<boolean> => {
    const splitter = new LineSplitter(overlap);
    const look = (found: Iterable<Line>): boolean => {
      for (const { line, at, offset } of found) {
        if (!line.includes(text)) continue;
        const shown = line.slice(0, shownChars);
        charsLeft -= shown.length;
        if (lines.length >= limit || charsLeft < 0) return false;
        lines.push({ run, at, offset, line: shown });
      }
      return true;
    };
    for await (const piece of source.pieces(run)) {
      left -= piece.data.length;
      untilTurn -= piece.data.length;
      if (left < 0) return false;
      if (!look(splitter.push(piece))) return false;
      if (untilTurn > 0) continue;
      untilTurn = sliceBytes;
      await turn();
    }
    return look(splitter.end());
  };

  for await (const run of source.runs()) if (!(await searchRun(run))) return { lines, complete: false };
  return { lines, complete: true };
}
