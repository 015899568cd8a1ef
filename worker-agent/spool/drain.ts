import type { Frame } from './frame.ts';
import type { SegmentLog } from './log.ts';
import { kinds, unpackAcked } from './payload.ts';

/** What one call to History carries at most, about. */
const batchBytes = 1024 * 1024;

/** The delivering end of one log: hands out frames of one kind, in order, until they are acknowledged. */
export function createDrain(log: SegmentLog, kind: number) {
  const unacked: number[] = [];
  let ackedTo = 0;
  let pending = 0;
  let batch: Frame[] = [];
  return {
    /** A frame found at opening, in order. */
    found(frame: Frame): void {
      if (frame.kind === kinds.acked) ackedTo = Math.max(ackedTo, unpackAcked(frame.payload));
      if (frame.kind === kind) unacked.push(frame.sequence);
    },
    /** All was found. */
    opened(): void {
      pending = unacked.filter((sequence) => sequence > ackedTo).length;
      unacked.length = 0;
    },
    appended(count: number): void {
      pending += count;
    },
    /** How many frames History does not surely have. */
    pending: () => pending,
    /** Whether it keeps room on the disk with what History surely has. */
    couldFree: () => pending === 0 && log.holds,
    /** The oldest of them, the same ones again until `acked`; empty when there are none. */
    async next(): Promise<Frame[]> {
      while (batch.length === 0 && pending > 0) {
        const read = await log.read(batchBytes);
        // What the log has stepped over is not there to be delivered.
        if (read.length === 0) pending = 0;
        batch = read.filter((frame) => frame.kind === kind && frame.sequence > ackedTo);
      }
      return batch;
    },
    /** History has the batch. */
    acked(): void {
      ackedTo = batch.at(-1)?.sequence ?? ackedTo;
      pending -= batch.length;
      batch = [];
    },
    /** Notes down how far it is and lets go of files that hold nothing else; `short`: where room on the disk is, of the newest too. */
    async note(short: boolean): Promise<void> {
      const upTo = ackedTo;
      try {
        await log.append([{ kind: kinds.acked, payload: Buffer.from(String(upTo)) }]);
      } catch {
        // No room for the note: after a crash the batch goes out once more, which changes nothing there.
      }
      await log.forget(pending === 0 ? log.last : upTo, short);
    },
  };
}
export type Drain = ReturnType<typeof createDrain>;
