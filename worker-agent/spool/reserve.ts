import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the records of the runs that live when a disk fills up will need. */
const reserveBytes = 2 * 1024 * 1024;

/**
 * Room on the disk kept for records: given up when the disk is full, so that what runs can still be written down, and
 * taken again when there is room. While it is not there the agent claims nothing.
 */
export function createReserve(dir: string, write = writeFileSync) {
  const path = join(dir, 'reserve');
  let there = false;
  function take(): boolean {
    if (there) return true;
    try {
      // Zeros written, not a hole: only written blocks are ours.
      if (statSync(path, { throwIfNoEntry: false })?.size !== reserveBytes)
        write(path, Buffer.alloc(reserveBytes), { mode: 0o600 });
      there = true;
    } catch {
      // No room yet (or no rights, which the next record's own write will name): asked again later.
      rmSync(path, { force: true });
    }
    return there;
  }
  return {
    path,
    take,
    there: () => there,
    giveUp(): void {
      there = false;
      rmSync(path, { force: true });
    },
  };
}
