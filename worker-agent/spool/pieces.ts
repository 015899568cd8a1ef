import type { RunId } from '#core/model/ids.ts';
import type { Mark, SpooledChunk } from './payload.ts';

/** Longest piece of output. */
export const pieceBytes = 64 * 1024;
/** Ended runs whose marks are kept: a killed agent may hand the output of those it had not yet forgotten again. */
const endedKept = 4_096;

interface Waiting {
  offset: number;
  parts: Uint8Array[];
  length: number;
  at: number;
  expireAt: number;
  /** What its run had lost before it. */
  dropped: number;
}

interface Stream extends Mark {
  /** Behind what waits and what was dropped: bytes below it have been seen. */
  end: number;
  /** All that was dropped; the mark's `dropped` is what lies below its offset. */
  lost: number;
  waiting: Waiting[];
}

/**
 * Output on its way into the spool: numbers its pieces, joins small ones, and knows by offsets what it has had
 * already. `marks` speaks of what was written only, so that after a crash the rest is taken when it is handed again.
 */
export function createPieces() {
  const streams = new Map<RunId, Stream>();
  let bytes = 0;

  function stream(run: RunId): Stream {
    let one = streams.get(run);
    if (one === undefined) {
      one = { run, seq: 0, offset: 0, dropped: 0, ended: false, end: 0, lost: 0, waiting: [] };
      streams.set(run, one);
    }
    return one;
  }

  function trim(): void {
    let ended = 0;
    for (const one of streams.values()) if (one.ended) ended += 1;
    for (const one of streams.values()) {
      if (ended <= endedKept) return;
      if (!one.ended || one.waiting.length > 0) continue;
      streams.delete(one.run);
      ended -= 1;
    }
  }

  return {
    /** Bytes that wait to be written. */
    bytes: () => bytes,
    /** Takes what is new of it; without room counts it. Gives how many bytes were dropped. */
    add(
      run: RunId,
      piece: { offset: number; data: Uint8Array; at: number; expireAt: number },
      room: boolean,
    ): number {
      const one = stream(run);
      const skip = Math.max(0, one.end - piece.offset);
      if (skip >= piece.data.length) return 0;
      let { offset } = piece;
      offset += skip;
      // A copy: the caller goes on using its buffer.
      let data: Uint8Array = Uint8Array.from(piece.data.subarray(skip));
      one.end = offset + data.length;
      if (!room) {
        one.lost += data.length;
        return data.length;
      }
      bytes += data.length;
      while (data.length > 0) {
        let last = one.waiting.at(-1);
        if (last === undefined || last.offset + last.length !== offset || last.length >= pieceBytes) {
          const { at, expireAt } = piece;
          last = { offset, parts: [], length: 0, at, expireAt, dropped: one.lost };
          one.waiting.push(last);
        }
        const part = data.subarray(0, pieceBytes - last.length);
        last.parts.push(part);
        last.length += part.length;
        offset += part.length;
        data = data.subarray(part.length);
      }
      return 0;
    },
    /** Everything that waits, numbered. To be answered with `written` or `lost`. */
    take(): SpooledChunk[] {
      const chunks: SpooledChunk[] = [];
      for (const one of streams.values()) {
        let { seq } = one;
        for (const { offset, parts, at, expireAt, dropped } of one.waiting)
          chunks.push({
            run: one.run,
            seq: seq++,
            offset,
            data: Buffer.concat(parts),
            at,
            expireAt,
            dropped,
          });
        one.waiting = [];
      }
      bytes = 0;
      return chunks;
    },
    written(chunk: Omit<SpooledChunk, 'data'>, length: number): void {
      const one = stream(chunk.run);
      one.seq = Math.max(one.seq, chunk.seq + 1);
      one.offset = Math.max(one.offset, chunk.offset + length);
      one.dropped = Math.max(one.dropped, chunk.dropped);
      one.end = Math.max(one.end, one.offset);
      one.lost = Math.max(one.lost, one.dropped);
    },
    /** A taken piece that the disk refused. */
    lost(chunk: SpooledChunk): void {
      const one = stream(chunk.run);
      one.lost += chunk.data.length;
      for (const waiting of one.waiting) waiting.dropped += chunk.data.length;
    },
    dropped: (run: RunId) => streams.get(run)?.lost ?? 0,
    /** A run's terminal record is there; its mark when it has one. */
    ended(run: RunId): Mark | null {
      const one = streams.get(run);
      if (one === undefined) return null;
      one.ended = true;
      one.offset = one.end;
      one.dropped = one.lost;
      // Moved to the end: the oldest ended are let go first.
      streams.delete(run);
      streams.set(run, one);
      trim();
      return mark(one);
    },
    marks: (): Mark[] => [...streams.values()].map(mark),
    restore(from: Mark): void {
      const one = stream(from.run);
      one.seq = Math.max(one.seq, from.seq);
      one.offset = Math.max(one.offset, from.offset);
      one.dropped = Math.max(one.dropped, from.dropped);
      one.ended ||= from.ended;
      one.end = Math.max(one.end, one.offset);
      one.lost = Math.max(one.lost, one.dropped);
    },
  };
}
export type Pieces = ReturnType<typeof createPieces>;

function mark({ run, seq, offset, dropped, ended }: Stream): Mark {
  return { run, seq, offset, dropped, ended };
}
