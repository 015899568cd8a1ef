import { execFile } from 'node:child_process';

const blockBytes = 4_096;
/** Worth a process of its own. */
const worthBytes = 16_777_216;

/**
 * Gives back the disk's room for the middle of a long output that nobody will read: the file keeps its length and its offsets, so
 * the command and the tail notice nothing. Node can't; fallocate (util-linux) does. Where it is missing, or the file system
 * can't, the file grows until its run has ended.
 */
export class HolePuncher {
  readonly #file: string;
  #from = 0;
  #busy = false;

  constructor(file: string) {
    this.#file = file;
  }

  /** Offers the range, in bytes of the file; it need be neither new nor worth it. */
  punch(from: number, until: number): void {
    const begin = Math.max(this.#from, Math.ceil(from / blockBytes) * blockBytes);
    const end = Math.floor(until / blockBytes) * blockBytes;
    if (this.#busy || end - begin < worthBytes) return;
    this.#busy = true;
    const args = ['--punch-hole', '--offset', String(begin), '--length', String(end - begin), this.#file];
    execFile('fallocate', args, (error) => {
      // Once refused it is refused for ever: it stays busy.
      if (error !== null) return;
      this.#from = end;
      this.#busy = false;
    });
  }

  reset(): void {
    this.#from = 0;
  }
}
