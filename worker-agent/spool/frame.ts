import { crc32 } from 'node:zlib';

/**
 * One thing in a spool's file: magic (4), length of the payload (4), CRC-32 of what follows it (4), sequence (6), kind (1),
 * payload. All big-endian. The magic lets a reader find the next whole frame behind a damaged one.
 */
export interface Frame {
  /** Grows by one from frame to frame of one log, also across its files. */
  sequence: number;
  kind: number;
  payload: Uint8Array;
}

export const headBytes = 19;
const magic = Buffer.from([0xc5, 0xf1, 0xee, 0x7a]);
/** Far above any frame we write: a length beyond it is damage. */
const maxPayload = 64 * 1024 * 1024;

export function encodeFrame(frame: Frame): Buffer {
  const buffer = Buffer.allocUnsafe(headBytes + frame.payload.length);
  magic.copy(buffer, 0);
  buffer.writeUInt32BE(frame.payload.length, 4);
  buffer.writeUIntBE(frame.sequence, 12, 6);
  buffer.writeUInt8(frame.kind, 18);
  buffer.set(frame.payload, headBytes);
  buffer.writeUInt32BE(crc32(buffer.subarray(12)), 8);
  return buffer;
}

/** The frame that begins at `at`, or null where none is whole and sound. Its payload is a view into `buffer`. */
export function frameAt(buffer: Buffer, at: number): Frame | null {
  if (at + headBytes > buffer.length || buffer.compare(magic, 0, 4, at, at + 4) !== 0) return null;
  const length = buffer.readUInt32BE(at + 4);
  const end = at + headBytes + length;
  if (length > maxPayload || end > buffer.length) return null;
  if (crc32(buffer.subarray(at + 12, end)) !== buffer.readUInt32BE(at + 8)) return null;
  return {
    sequence: buffer.readUIntBE(at + 12, 6),
    kind: buffer.readUInt8(at + 18),
    payload: buffer.subarray(at + headBytes, end),
  };
}

export interface Scan {
  frames: Frame[];
  /** Bytes from the file's beginning up to which all is sound. */
  sound: number;
  /** Whether whole frames stand behind a damaged place: then it was no torn write. */
  holed: boolean;
}

/** Every sound frame of a file, in order, damaged places stepped over. */
export function scanFrames(buffer: Buffer): Scan {
  const scan: Scan = { frames: [], sound: 0, holed: false };
  let at = 0;
  let last = -1;
  while (at < buffer.length) {
    const frame = frameAt(buffer, at);
    if (frame && frame.sequence > last) {
      if (scan.sound !== at) scan.holed = true;
      else scan.sound = at + headBytes + frame.payload.length;
      scan.frames.push(frame);
      last = frame.sequence;
      at += headBytes + frame.payload.length;
      continue;
    }
    at = nextMagic(buffer, at);
  }
  return scan;
}

/** Where the first sound frame behind `at` begins; the buffer's end where there is none. */
export function soundBehind(buffer: Buffer, at: number): number {
  let next = nextMagic(buffer, at);
  while (next < buffer.length && frameAt(buffer, next) === null) next = nextMagic(buffer, next);
  return next;
}

function nextMagic(buffer: Buffer, at: number): number {
  const next = buffer.indexOf(magic, at + 1);
  return next < 0 ? buffer.length : next;
}
