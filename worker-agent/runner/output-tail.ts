import { closeSync, fstatSync, readSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { HolePuncher } from './hole-puncher.ts';
import type { RunDir } from './run-dir.ts';

const chunkBytes = 65_536;
/** Handed on at one stretch at most; the next look, or turn of the event loop, goes on. */
const stretchBytes = 1_048_576;
const summaryBytes = 4_096;
/** So many of the bytes read last must still stand where they were read. */
const seenBytes = 64;

/**
 * Reads a run's output file as it grows and hands it on: the first half of `max` as it comes, the last half when the run has ended. What
 * lies between stays unread and is counted, and its room on the disk is given back. After a restart the same bytes are handed on
 * again from 0: whoever takes them tells by the offset.
 *
 * A command that opens /dev/stderr as `> /dev/stderr` does empties a file that is its output, as it can't a pipe. What had been handed on
 * by then stays; what comes afterwards goes on behind it, though by the next look the file be longer than it was. `cut` keeps how far
 * that is for a restarted agent. What was written since the last look is lost.
 */
export class OutputTail {
  readonly #dir: RunDir;
  readonly #max: number;
  readonly #headMax: number;
  readonly #take: (offset: number, data: Uint8Array) => void;
  readonly #holes: HolePuncher;
  #fd: number | null;
  /** Where the file's first byte stands in the whole output. */
  #base: number;
  /** The file as it was at the last look. */
  #size = 0;
  #changedAt = 0;
  /** What was read last, which ends before `#next`. */
  #seen = new Uint8Array();
  /** The next byte, in the whole output. */
  #next: number;
  #handed: number;

  /** `fd` is open for reading and this object's own from now on; null: there is no output. */
  constructor(dir: RunDir, fd: number | null, max: number, take: (offset: number, data: Uint8Array) => void) {
    this.#dir = dir;
    this.#fd = fd;
    this.#max = max;
    this.#headMax = Math.ceil(max / 2);
    this.#take = take;
    this.#holes = new HolePuncher(dir.file('output'));
    [this.#base, this.#handed] = dir.cut() ?? [0, 0];
    this.#next = this.#base;
  }

  /** Hands on what has come since, a stretch at most; gives how many bytes the output grew by. */
  poll(): number {
    if (this.#fd === null) return 0;
    const before = this.#base + this.#size;
    const bytes = this.#look(this.#fd);
    const until = Math.min(bytes, this.#headMax);
    if (this.#next < until) this.#read(this.#fd, Math.min(until, this.#next + stretchBytes));
    this.#holes.punch(this.#headMax - this.#base, bytes - this.#base - this.#tailMax);
    return bytes - before;
  }

  /** The rest, and the sums. */
  async finish(): Promise<{ bytes: number; droppedBytes: number; tail: string }> {
    const fd = this.#fd;
    if (fd === null) return { bytes: this.#base, droppedBytes: this.#base - this.#handed, tail: '' };
    const bytes = this.#look(fd);
    await this.#readOn(bytes <= this.#max ? bytes : this.#headMax);
    if (bytes > this.#max) {
      this.#next = Math.max(this.#next, bytes - (this.#max - this.#headMax));
      await this.#readOn(bytes);
    }
    const tail = this.#fd === null ? '' : summary(this.#fd, this.#size);
    this.close();
    return { bytes, droppedBytes: bytes - this.#handed, tail };
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  get #tailMax(): number {
    return Math.max(this.#max - this.#headMax, summaryBytes);
  }

  /** How much the whole output is by now. */
  #look(fd: number): number {
    const { size, mtimeMs } = fstatSync(fd);
    const changed = size !== this.#size || mtimeMs !== this.#changedAt;
    this.#changedAt = mtimeMs;
    if (size < this.#size || (changed && !this.#stands(fd))) {
      this.#base += this.#size;
      this.#next = Math.max(this.#next, this.#base);
      this.#dir.keepCut(this.#base, this.#handed);
      this.#holes.reset();
      this.#seen = new Uint8Array();
    }
    this.#size = size;
    return this.#base + size;
  }

  #stands(fd: number): boolean {
    const { length } = this.#seen;
    const there = new Uint8Array(length);
    return (
      length === 0 ||
      (readSync(fd, there, 0, length, this.#next - this.#base - length) === length &&
        Buffer.compare(there, this.#seen) === 0)
    );
  }

  /** Ends early when it is closed meanwhile: the descriptor may be another file's by then. */
  async #readOn(until: number): Promise<void> {
    while (this.#fd !== null && this.#next < until) {
      if (!this.#read(this.#fd, Math.min(until, this.#next + stretchBytes))) return;
      await turn();
    }
  }

  /** False: cut off by the command itself, what was there is not any more. */
  #read(fd: number, until: number): boolean {
    while (this.#next < until) {
      const data = new Uint8Array(Math.min(chunkBytes, until - this.#next));
      const count = readSync(fd, data, 0, data.length, this.#next - this.#base);
      if (count === 0) return false;
      this.#take(this.#next, data.subarray(0, count));
      this.#next += count;
      this.#handed += count;
      this.#seen = data.slice(Math.max(0, count - seenBytes), count);
    }
    return true;
  }
}

/** The last 4 KiB of the file as text, from the beginning of a character. */
function summary(fd: number, size: number): string {
  const data = Buffer.alloc(Math.min(summaryBytes, size));
  readSync(fd, data, 0, data.length, size - data.length);
  let from = 0;
  if (size > data.length) while (from < 4 && ((data[from] ?? 0) & 0xc0) === 0x80) from += 1;
  return data.toString('utf8', from);
}
