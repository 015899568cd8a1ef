import { rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the records of the runs that live when a disk fills up will need. */
const reserveBytes = 2 * 1024 * 1024;

/**
 * Room on the disk kept for records: given up when the disk is full, so that what runs can still be written down, and
 * taken again when there is room for it twice: were it taken from the last bytes, what is claimed then would find none and fail. While it
 * is not there the agent claims nothing.
 */
export function createReserve(dir: string, freeBytes: (dir: string) => number = freeOn) {
  const path = join(dir, 'reserve');
  let there = false;
  function take(): boolean {
    if (there) return true;
    try {
      if (statSync(path, { throwIfNoEntry: false })?.size !== reserveBytes) {
        if (freeBytes(dir) < 2 * reserveBytes) return false;
        // Zeros written, not a hole: only written blocks are ours.
        writeFileSync(path, Buffer.alloc(reserveBytes), { mode: 0o600 });
      }
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

function freeOn(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}
