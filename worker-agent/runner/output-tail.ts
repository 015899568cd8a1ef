import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { RunDir } from './run-dir.ts';
import { isCode } from './run-dir.ts';

const chunkBytes = 65_536;
const summaryBytes = 4_096;

/**
 * Reads a run's output file as it grows and hands it on: the first half of `max` as it comes, the last half when the run has ended. What
 * lies between stays unread and is counted. After a restart the same bytes are handed on again from 0: whoever takes them
 * tells by the offset.
 */
export class OutputTail {
  readonly #dir: RunDir;
  readonly #headMax: number;
  readonly #max: number;
  readonly #take: (offset: number, data: Uint8Array) => void;
  #fd: number | null = null;
  #offset = 0;

  constructor(dir: RunDir, max: number, take: (offset: number, data: Uint8Array) => void) {
    this.#dir = dir;
    this.#max = max;
    this.#headMax = Math.ceil(max / 2);
    this.#take = take;
  }

  /** Hands on what has come since; gives how many bytes that was. */
  poll(): number {
    const fd = this.#open();
    if (fd === null) return 0;
    const until = Math.min(fstatSync(fd).size, this.#headMax);
    return this.#read(fd, this.#offset, until);
  }

  /** The rest, and the sums. */
  finish(): { bytes: number; droppedBytes: number; tail: string } {
    const fd = this.#open();
    if (fd === null) return { bytes: 0, droppedBytes: 0, tail: '' };
    try {
      const bytes = fstatSync(fd).size;
      const tailFrom =
        bytes <= this.#max ? this.#offset : Math.max(this.#offset, bytes - (this.#max - this.#headMax));
      if (bytes > this.#max) this.#read(fd, this.#offset, this.#headMax);
      const droppedBytes = bytes <= this.#max ? 0 : Math.max(0, tailFrom - this.#offset);
      this.#read(fd, tailFrom, bytes);
      return { bytes, droppedBytes, tail: summary(fd, bytes) };
    } finally {
      this.close();
    }
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  #open(): number | null {
    try {
      this.#fd ??= openSync(this.#dir.file('output'), 'r');
    } catch (error) {
      if (isCode(error, 'ENOENT')) return null;
      throw error;
    }
    return this.#fd;
  }

  #read(fd: number, from: number, until: number): number {
    let at = from;
    while (at < until) {
      const data = new Uint8Array(Math.min(chunkBytes, until - at));
      const count = readSync(fd, data, 0, data.length, at);
      // Cut off by its own job: what was there is not any more.
      if (count === 0) break;
      this.#take(at, data.subarray(0, count));
      at += count;
    }
    this.#offset = Math.max(this.#offset, at);
    return at - from;
  }
}

/** The last 4 KiB as text, from the beginning of a character. */
function summary(fd: number, bytes: number): string {
  const data = Buffer.alloc(Math.min(summaryBytes, bytes));
  readSync(fd, data, 0, data.length, bytes - data.length);
  let from = 0;
  if (bytes > data.length) while (from < 4 && ((data[from] ?? 0) & 0xc0) === 0x80) from += 1;
  return data.toString('utf8', from);
}
