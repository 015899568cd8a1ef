import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFrame, type Frame, frameAt, headBytes, scanFrames, soundBehind } from './frame.ts';

/** The two calls that a full or failing disk refuses; tests hand in failing ones. */
export interface LogIo {
  write(file: FileHandle, data: Buffer, at: number): Promise<void>;
  sync(file: FileHandle): Promise<void>;
}

export const diskIo: LogIo = {
  async write(file, data, at) {
    let done = 0;
    while (done < data.length)
      done += (await file.write(data, done, data.length - done, at + done)).bytesWritten;
  },
  sync: (file) => file.datasync(),
};

/** A file of less frees too little to make another for it. */
const worthBytes = 64 * 1024;

/** A file's first sequence, by its name. */
const firstPattern = /-(\d+)\.seg$/;

interface Segment {
  path: string;
  first: number;
  /** Sequence of its last frame; first - 1 while empty. */
  last: number;
  bytes: number;
}

export interface LogOptions {
  dir: string;
  /** What its files are called: `<name>-<first sequence>.seg`. */
  name: string;
  segmentBytes: number;
  io: LogIo;
  damaged(file: string, problem: string, setAside: string): void;
  /** What each new file begins with, so that older ones may go; null: nothing. */
  checkpoint?(): { kind: number; payload: Uint8Array } | null;
}

/** Where a reader stands: the next frame to read. */
interface Place {
  segment: Segment;
  at: number;
}

/**
 * A log of frames in files of `segmentBytes`: appended at its end, read from where the reader stands, forgotten from
 * its beginning. One append, and one read, at a time. Opening cuts a torn tail; a file damaged in the middle is set aside as
 * `<file>.damaged` and what could be read of it goes on under its name. Damage that is met in reading is stepped over.
 */
export class SegmentLog {
  readonly #options: LogOptions;
  #segments: Segment[] = [];
  #file: FileHandle | null = null;
  #sequence = 1;
  #place: Place | null = null;
  #dirty = false;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** To be called once, before all else; tells of each frame found, oldest first. */
  open(found: (frame: Frame) => void): void {
    const options = this.#options;
    mkdirSync(options.dir, { recursive: true, mode: 0o700 });
    const names = readdirSync(options.dir).filter(
      (n) => n.startsWith(`${options.name}-`) && firstPattern.test(n.slice(options.name.length)),
    );
    names.sort();
    for (const [i, name] of names.entries())
      this.#recover(join(options.dir, name), i === names.length - 1, found);
  }

  #recover(path: string, newest: boolean, found: (frame: Frame) => void) {
    const buffer = readFileSync(path);
    const { frames, sound, holed } = scanFrames(buffer);
    let bytes = sound;
    if (sound < buffer.length) {
      if (newest && !holed) truncateSync(path, sound);
      else bytes = this.#setAside(path, frames, sound);
    }
    const first = Number(firstPattern.exec(path)?.[1]);
    const segment = { path, first, last: frames.at(-1)?.sequence ?? first - 1, bytes };
    this.#segments.push(segment);
    this.#sequence = Math.max(this.#sequence, segment.last + 1, first);
    for (const frame of frames) found(frame);
  }

  #setAside(path: string, frames: Frame[], sound: number): number {
    const aside = `${path}.damaged`;
    const mended = `${path}.mended`;
    const data = Buffer.concat(frames.map(encodeFrame));
    writeFileSync(mended, data, { mode: 0o600 });
    const file = openSync(mended, 'r+');
    fsyncSync(file);
    closeSync(file);
    renameSync(path, aside);
    renameSync(mended, path);
    this.#options.damaged(path, `damaged at byte ${sound}`, aside);
    return data.length;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** Whether to forget all of it would free anything worth while. */
  get holds(): boolean {
    return this.bytes > worthBytes;
  }

  /** Sequence of the last frame appended. */
  get last(): number {
    return this.#sequence - 1;
  }

  /**
   * Appends all or none and gives the sequence of the last; a failed write is cut off again. A crash may leave the
   * beginning of an append, which then counts: so a writer's frames must be safe to repeat.
   */
  async append(frames: readonly { kind: number; payload: Uint8Array }[]): Promise<number> {
    const segment = await this.#writable();
    let sequence = this.#sequence;
    const data = Buffer.concat(frames.map((frame) => encodeFrame({ ...frame, sequence: sequence++ })));
    const file = this.#file;
    if (file === null) throw new Error('the log is closed');
    try {
      await this.#options.io.write(file, data, segment.bytes);
    } catch (error) {
      // Whole frames of what failed must not stand behind the next, shorter append.
      await file.truncate(segment.bytes);
      throw error;
    }
    segment.bytes += data.length;
    segment.last = sequence - 1;
    this.#sequence = sequence;
    this.#dirty = true;
    return segment.last;
  }

  /** Puts on disk what was appended. */
  async sync(): Promise<void> {
    if (!this.#file || !this.#dirty) return;
    this.#dirty = false;
    try {
      await this.#options.io.sync(this.#file);
    } catch (error) {
      this.#dirty = true;
      throw error;
    }
  }

  async #writable(): Promise<Segment> {
    const newest = this.#segments.at(-1);
    if (newest && newest.bytes < this.#options.segmentBytes) {
      this.#file ??= await open(newest.path, 'r+');
      return newest;
    }
    return await this.#begin();
  }

  /** A new file; where there is no room for it all stays as it is. */
  async #begin(): Promise<Segment> {
    await this.sync();
    const name = `${this.#options.name}-${String(this.#sequence).padStart(15, '0')}.seg`;
    const path = join(this.#options.dir, name);
    const file = await open(path, 'w+', 0o600);
    const segment: Segment = { path, first: this.#sequence, last: this.#sequence - 1, bytes: 0 };
    const head = this.#options.checkpoint?.();
    try {
      if (head) {
        const data = encodeFrame({ ...head, sequence: this.#sequence });
        await this.#options.io.write(file, data, 0);
        segment.bytes = data.length;
        segment.last = this.#sequence++;
      }
      await this.#options.io.sync(file);
      // A new file's name lasts only once its folder is on disk too.
      const folder = await open(this.#options.dir, 'r');
      await folder.sync().finally(() => folder.close());
    } catch (error) {
      await file.close();
      await unlink(path);
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#segments.push(segment);
    return segment;
  }

  /** The next frames behind those that were read, up to about `maxBytes`; empty at the end. */
  async read(maxBytes: number): Promise<Frame[]> {
    for (;;) {
      const [oldest] = this.#segments;
      if (!oldest) return [];
      this.#place ??= { segment: oldest, at: 0 };
      const { segment, at } = this.#place;
      if (at < segment.bytes) {
        const frames = await this.#readFrom(this.#place, maxBytes);
        if (frames.length > 0) return frames;
        continue;
      }
      const next = this.#segments[this.#segments.indexOf(segment) + 1];
      if (!next) return [];
      this.#place = { segment: next, at: 0 };
    }
  }

  /** Nothing: what stood at `place` is damaged, and `place` is behind it now. */
  async #readFrom(place: Place, maxBytes: number): Promise<Frame[]> {
    const file = await open(place.segment.path, 'r');
    try {
      const left = place.segment.bytes - place.at;
      let buffer = await readFully(file, place.at, Math.min(left, maxBytes));
      // A frame larger than the whole piece: read as far as it goes.
      if (!frameAt(buffer, 0) && buffer.length >= headBytes && buffer.length < left)
        buffer = await readFully(file, place.at, Math.min(left, headBytes + buffer.readUInt32BE(4)));
      const frames: Frame[] = [];
      let at = 0;
      for (let frame = frameAt(buffer, at); frame; frame = frameAt(buffer, at)) {
        frames.push(frame);
        at += headBytes + frame.payload.length;
      }
      if (frames.length === 0) {
        await this.#linkAside(place);
        at = soundBehind(await readFully(file, place.at, left), 0);
      }
      place.at += at;
      return frames;
    } finally {
      await file.close();
    }
  }

  /** The file goes on; what it was stays to be looked at when it is forgotten. */
  async #linkAside({ segment: { path }, at }: Place): Promise<void> {
    const aside = `${path}.damaged`;
    await link(path, aside).catch((error: NodeJS.ErrnoException) => {
      // It has another damaged place, or had one before it was opened.
      if (error.code !== 'EEXIST') throw error;
    });
    this.#options.damaged(path, `damaged at byte ${at}`, aside);
  }

  /** Deletes the files that end at or before `sequence`: but the newest, unless room is `short` and it holds some. */
  async forget(sequence: number, short: boolean): Promise<void> {
    const newest = this.#segments.at(-1);
    if (short && newest !== undefined && newest.last <= sequence && newest.bytes > worthBytes)
      await this.#begin().catch(() => {
        // Not even room for an empty file: asked again with the next look at the disk.
      });
    while (this.#segments.length > 1) {
      const [oldest] = this.#segments;
      if (!oldest || oldest.last > sequence) return;
      this.#segments.shift();
      if (this.#place?.segment === oldest) this.#place = null;
      await unlink(oldest.path);
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }
}

async function readFully(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, at + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}
