import type { Binary, Collection } from 'mongodb';
import type { LogChunk, LogRead } from '#core/ports/history.ts';
import { LogAnswer } from '../log-answer.ts';
import { layoutVersion } from './layout.ts';
import { unwritten } from './mongo-error.ts';

export interface LogDocument {
  /** `RUN:SEQ` */
  _id: string;
  v: number;
  run: string;
  offset: number;
  at: Date;
  expireAt: Date;
  data: Uint8Array | Binary;
}

interface Piece {
  offset: number;
  at: number;
  data: Uint8Array;
}

/** Of at most 64 KiB each, as agents cut them. */
const pagePieces = 16;

/** Output, piece by piece. */
export function logsCollection(logs: Collection<LogDocument>) {
  /** A run's pieces from the one around `start` on; an answer each page, so that nothing is left open at the server. */
  async function* pieces(run: string, start: number): AsyncGenerator<Piece> {
    const around = logs
      .find({ run, offset: { $lte: start } }, { promoteBuffers: true })
      .sort({ offset: -1 })
      .limit(1)
      .toArray();
    const page = (offset: number) =>
      logs
        .find({ run, offset: { $gt: offset } }, { promoteBuffers: true })
        .sort({ offset: 1 })
        .limit(pagePieces)
        .toArray();
    const [first, behind] = await Promise.all([around, page(start)]);
    yield* first.map(pieceOf);
    for (let some = behind; ; ) {
      yield* some.map(pieceOf);
      const last = some.at(-1);
      if (last === undefined || some.length < pagePieces) return;
      some = await page(last.offset);
    }
  }

  return {
    pieces,
    async save(chunks: readonly LogChunk[]): Promise<void> {
      if (chunks.length === 0) return;
      const documents = chunks.map(({ run, seq, offset, data, at, expireAt }) => ({
        ...{ _id: `${run}:${String(seq).padStart(8, '0')}`, v: layoutVersion, run, offset, data },
        ...{ at: new Date(at), expireAt: new Date(expireAt) },
      }));
      try {
        await logs.insertMany(documents, { ordered: false });
      } catch (error) {
        // Pieces that were there already are what they were; the others are there now.
        const { refused } = unwritten(error);
        if (refused !== null) throw refused;
      }
    },
    async read(run: string, start: number, maxBytes: number): Promise<LogRead> {
      const answer = new LogAnswer(start, maxBytes);
      for await (const piece of pieces(run, start)) if (!answer.take(piece)) break;
      return answer.read();
    },
  };
}

function pieceOf({ offset, at, data }: LogDocument): Piece {
  return { offset, at: at.getTime(), data: data as Uint8Array };
}
