import type { LogRead } from '#core/ports/history.ts';

/** Puts together what is read of a log from its pieces, which come in order, the first one around `start` or behind it. */
export class LogAnswer {
  readonly #start: number;
  readonly #parts: Uint8Array[] = [];
  #next: number;
  #left: number;
  #dropped = 0;

  constructor(start: number, maxBytes: number) {
    this.#start = start;
    this.#next = start;
    this.#left = maxBytes;
  }

  /** False when no further piece is wanted. */
  take({ offset, data }: { offset: number; data: Uint8Array }): boolean {
    if (this.#left === 0) return false;
    // A gap ends an answer that has something to say, so that `next` minus its bytes is where they stood.
    if (offset > this.#next) {
      if (this.#parts.length > 0) return false;
      this.#dropped += offset - this.#next;
      this.#next = offset;
    }
    const part = data.subarray(Math.max(0, this.#next - offset)).subarray(0, this.#left);
    if (part.length === 0) return true;
    this.#parts.push(part);
    this.#next += part.length;
    this.#left -= part.length;
    return true;
  }

  read(): LogRead {
    return {
      data: Buffer.concat(this.#parts),
      from: this.#start,
      next: this.#next,
      dropped: this.#dropped,
    };
  }
}
