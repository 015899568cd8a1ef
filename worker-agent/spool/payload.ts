import type { Alert } from '#core/model/alert.ts';
import type { RunId } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';
import type { LogChunk } from '#core/ports/history.ts';

/** Kinds of frame. acked: everything up to a sequence is with History. marks: how far each run's output has come. */
export const kinds = { record: 1, output: 2, acked: 3, marks: 4 } as const;

/** How far a run's output has come into the spool. */
export interface Mark {
  run: RunId;
  /** Number of the next piece. */
  seq: number;
  /** Where the next byte stands in the original output. */
  offset: number;
  /** Bytes that found no room. */
  dropped: number;
  ended: boolean;
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const parse = (payload: Uint8Array): unknown => JSON.parse(Buffer.from(payload).toString());

/** A record, and in the same frame the alerts that it gives cause for: neither comes without the other. */
export interface SpooledRecord {
  run: Run;
  alerts: readonly Alert[];
}

export const packRecord = ({ run, alerts }: SpooledRecord): Buffer =>
  json(alerts.length === 0 ? run : { ...run, alerts });
/** The CRC has vouched for it, and only we write here. */
export function unpackRecord(payload: Uint8Array): SpooledRecord {
  const { alerts = [], ...run } = parse(payload) as Run & { alerts?: Alert[] };
  return { run, alerts };
}

export const packMarks = (marks: readonly Mark[]): Buffer => json(marks);
export const unpackMarks = (payload: Uint8Array): Mark[] => parse(payload) as Mark[];

export const packAcked = (sequence: number): Buffer => json(sequence);
export const unpackAcked = (payload: Uint8Array): number => Number(parse(payload));

/** A piece as it lies in the spool; `dropped`: what its run had lost for want of room before it. */
export type SpooledChunk = LogChunk & { dropped: number };

/** Length of the head (2 bytes), the head, the bytes as they are. */
export function packChunk({ data, ...rest }: SpooledChunk): Buffer {
  const head = json(rest);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(head.length);
  return Buffer.concat([length, head, data]);
}

export function unpackChunk(payload: Uint8Array): SpooledChunk {
  const view = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const end = 2 + view.readUInt16BE(0);
  const head = JSON.parse(view.toString('utf8', 2, end)) as Omit<SpooledChunk, 'data'>;
  return { ...head, data: view.subarray(end) };
}
