import type { Alert } from '#core/model/alert.ts';
import type { RunId } from '#core/model/ids.ts';
import { refuse } from '#core/model/refusal.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import { createDrain, type Drain } from './drain.ts';
import { diskIo, type LogIo, SegmentLog } from './log.ts';
import {
  kinds,
  packChunk,
  packMarks,
  packRecord,
  type SpooledRecord,
  unpackChunk,
  unpackMarks,
} from './payload.ts';
import { createPieces } from './pieces.ts';
import { createReserve } from './reserve.ts';

/** Output that comes this soon after other output waits for more, so that a chatty job makes ten pieces a second. */
const joinMs = 100;
/** The same while History is away: nobody could read it anyway. */
const joinAwayMs = 1_000;
/** Output that may wait in memory for the disk. */
const waitingBytes = 32 * 1024 * 1024;
const recordSegmentBytes = 1024 * 1024;
const outputSegmentBytes = 8 * 1024 * 1024;

export interface SpoolOptions {
  /** One spool alone holds it. */
  dir: string;
  clock: Clock;
  events: Events;
  /** Of all its files. Output takes 7/8 of it at most; from 15/16 on there is no room for new runs. */
  maxBytes: number;
  io?: LogIo;
  /** Whether nobody takes anything from it at present. */
  away(): boolean;
  /** Called when there is something new to take. */
  wrote(): void;
}

/**
 * Records and output of this host's runs on its disk, in two logs, so that output can be left out and records overtake
 * it. One writer, in rounds: everything handed over while a round runs goes into the next, with one fsync for all its records.
 */
export function createSpool(options: SpoolOptions) {
  const { dir, clock, events, maxBytes, io = diskIo } = options;
  const pieces = createPieces();
  const reserve = createReserve(dir);
  const common = {
    dir,
    io,
    damaged: (file: string, problem: string, setAside: string) =>
      events.emit({ type: 'spool.damaged', file, problem, setAside }),
  };
  const recordLog = new SegmentLog({
    ...common,
    name: 'records',
    segmentBytes: Math.min(recordSegmentBytes, maxBytes / 32),
  });
  const outputLog = new SegmentLog({
    ...common,
    name: 'output',
    segmentBytes: Math.min(outputSegmentBytes, maxBytes / 16),
    checkpoint: () => ({ kind: kinds.marks, payload: packMarks(pieces.marks()) }),
  });
  const records = createDrain(recordLog, kinds.record);
  const output = createDrain(outputLog, kinds.output);
  recordLog.open(records.found);
  outputLog.open((frame) => {
    if (frame.kind === kinds.marks) for (const mark of unpackMarks(frame.payload)) pieces.restore(mark);
    if (frame.kind === kinds.output) {
      const { data, ...chunk } = unpackChunk(frame.payload);
      pieces.written(chunk, data.length);
    }
    output.found(frame);
  });
  records.opened();
  output.opened();
  reserve.take();

  interface Handed {
    runs: readonly Run[];
    alerts: readonly Alert[];
    resolve: () => void;
    reject: (error: unknown) => void;
  }
  let handed: Handed[] = [];
  const toNote = new Set<Drain>();
  let outputDue = false;
  let cancelDue: (() => void) | null = null;
  let lastOutput = Number.NEGATIVE_INFINITY;
  let full = false;
  let round: Promise<void> | null = null;

  const used = () => recordLog.bytes + outputLog.bytes + pieces.bytes();
  const busy = () => handed.length > 0 || toNote.size > 0 || (outputDue && pieces.bytes() > 0);

  function schedule(): void {
    // By way of setImmediate, so that all calls of this turn share one fsync.
    round ??= new Promise<void>((resolve) => setImmediate(resolve)).then(write).finally(() => {
      round = null;
      if (busy()) schedule();
    });
  }

  function note(drain: Drain): void {
    toNote.add(drain);
    schedule();
  }

  async function write(): Promise<void> {
    const all = handed;
    const notes = [...toNote];
    handed = [];
    toNote.clear();
    const ending = all.flatMap(({ runs }) => runs).filter(({ state }) => isTerminal(state));
    if (outputDue || ending.length > 0) await writeOutput(ending);
    if (all.length > 0) await writeRecords(all);
    for (const drain of notes) await drain.note(!reserve.there());
    options.wrote();
  }

  async function writeOutput(ending: readonly Run[]): Promise<void> {
    outputDue = false;
    cancelDue?.();
    cancelDue = null;
    lastOutput = clock.boot();
    const chunks = pieces.take();
    if (chunks.length > 0) {
      try {
        // What the reserve gave up is for records.
        if (!reserve.there()) throw refuse('disk_full', 'spool', dir, 'room on the disk for output');
        await outputLog.append(chunks.map((chunk) => ({ kind: kinds.output, payload: packChunk(chunk) })));
        output.appended(chunks.length);
        for (const { data, ...chunk } of chunks) pieces.written(chunk, data.length);
      } catch (error) {
        // Output is what a disk that refuses costs first: counted, told, and the record of its run will say it.
        events.emit({ type: 'disk.full', path: dir, error });
        for (const chunk of chunks) pieces.lost(chunk);
        dropped(chunks.reduce((sum, { data }) => sum + data.length, 0));
      }
    }
    const marks = ending.map(({ id }) => pieces.ended(id)).filter((mark) => mark !== null);
    if (marks.length === 0) return;
    try {
      await outputLog.append([{ kind: kinds.marks, payload: packMarks(marks) }]);
      // A run's folder may go once its record is spooled: its output must be on disk by then as well.
      await outputLog.sync();
    } catch (error) {
      // What was written is written; only a power cut could still take it.
      events.emit({ type: 'disk.full', path: dir, error });
    }
  }

  async function writeRecords(all: readonly Handed[]): Promise<void> {
    try {
      await appendRecords(all.flatMap(framed));
      for (const { resolve } of all) resolve();
    } catch (error) {
      const refusal = isFull(error)
        ? refuse('disk_full', 'spool', dir, 'room on the disk for a record')
        : error;
      for (const { reject } of all) reject(refusal);
    }
  }

  function framed({ runs, alerts }: Handed): SpooledRecord[] {
    return runs.map((run) => ({
      run: withDropped(run),
      alerts: alerts.filter((alert) => alert.run === run.id),
    }));
  }

  async function appendRecords(spooled: readonly SpooledRecord[]): Promise<void> {
    const frames = spooled.map((each) => ({ kind: kinds.record, payload: packRecord(each) }));
    const append = async () => {
      await recordLog.append(frames);
      records.appended(frames.length);
      await recordLog.sync();
    };
    try {
      await append();
    } catch (error) {
      if (!isFull(error)) throw error;
      events.emit({ type: 'disk.full', path: dir, error });
      if (!reserve.there()) throw error;
      reserve.giveUp();
      await append();
    }
  }

  function withDropped(run: Run): Run {
    const bytes = isTerminal(run.state) ? pieces.dropped(run.id) : 0;
    return bytes === 0 ? run : { ...run, droppedBytes: run.droppedBytes + bytes };
  }

  /** Told once, until something finds room again. */
  function dropped(droppedBytes: number): void {
    if (droppedBytes > 0 && !full) events.emit({ type: 'spool.full', droppedBytes });
    full = droppedBytes > 0;
  }

  return {
    records,
    output,
    /** Puts on disk what `output` is about to hand on: after a power cut History must know no piece that we don't. */
    sync: () => outputLog.sync(),
    /** To be called after a drain's `acked`. */
    note,
    /** See Ledger.record. */
    record(runs: readonly Run[], alerts: readonly Alert[] = []): Promise<void> {
      if (runs.length === 0) return Promise.resolve();
      if (used() > maxBytes)
        return Promise.reject(
          refuse('spool_full', 'spool', dir, `at most ${maxBytes} bytes that wait for History`),
        );
      return new Promise((resolve, reject) => {
        handed.push({ runs, alerts, resolve, reject });
        schedule();
      });
    },
    /** See Ledger.output. */
    add(run: RunId, offset: number, data: Uint8Array, expireAt: number): void {
      const room =
        reserve.there() &&
        used() + data.length <= (maxBytes * 7) / 8 &&
        pieces.bytes() + data.length <= waitingBytes;
      dropped(pieces.add(run, { offset, data, at: clock.now(), expireAt }, room));
      if (pieces.bytes() === 0 || outputDue || cancelDue !== null) return;
      const due = () => {
        cancelDue = null;
        outputDue = true;
        schedule();
      };
      const wait = (options.away() ? joinAwayMs : joinMs) - (clock.boot() - lastOutput);
      if (wait <= 0) due();
      else cancelDue = clock.after(wait, due);
    },
    /** Bytes of its files and of what waits for them. */
    used,
    fullness: () => used() / maxBytes,
    hasRoom: () => reserve.there() && used() <= (maxBytes * 15) / 16,
    waiting: () => records.pending() + handed.reduce((sum, { runs }) => sum + runs.length, 0),
    /** Tries to have the disk's reserve back, and makes what room it can. */
    recover(): void {
      if (reserve.take()) return;
      for (const drain of [records, output]) if (drain.couldFree()) note(drain);
    },
    /** Settles when everything handed over is written. */
    async flush(): Promise<void> {
      cancelDue?.();
      cancelDue = null;
      outputDue = true;
      if (busy()) schedule();
      while (round !== null) await round;
    },
    async close(): Promise<void> {
      await Promise.all([recordLog.sync(), outputLog.sync()]);
      await Promise.all([recordLog.close(), outputLog.close()]);
    },
  };
}
export type Spool = ReturnType<typeof createSpool>;

function isFull(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
