import { mkdirSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What every run's directory has from its arming on; all of it is written by path, and nobody but agent and wrapper opens it. */
const standing = ['run.json', 'claimed', 'started', 'exit'] as const;
/** What a burst is armed with at once; more are made as they are needed. */
const most = 1_000;

/**
 * Directories for runs to come: those of runs that are over, emptied. Files that are made and removed are what a host can do least of: ext4
 * passes over every inode that was freed in the last seconds (up to 35) before it gives another, so the more runs there had been, the
 * dearer each became, up to 2 ms a file. Here a run makes one file, its output, which a daemon that it left behind may still hold.
 */
export class SpareDirs {
  readonly #dir: string;
  readonly #ready: string[] = [];
  #made = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** What an earlier life has left may not have been emptied. */
  open(): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#dir))
      rmSync(join(this.#dir, name), { recursive: true, force: true });
  }

  /** The path of one with its files, empty: the taker's from now on. Leaves nothing behind when it throws. */
  take(): string {
    const spare = this.#ready.pop();
    if (spare !== undefined) return spare;
    const path = this.#place();
    try {
      mkdirSync(path, { mode: 0o700 });
      for (const name of standing) writeFileSync(join(path, name), '', { mode: 0o600 });
      return path;
    } catch (error) {
      rmSync(path, { recursive: true, force: true });
      throw error;
    }
  }

  /** Takes the directory of a run whose wrapper is gone out of the way, and keeps what of it another run can use. */
  give(path: string): void {
    if (this.#ready.length >= most) {
      rmSync(path, { recursive: true, force: true });
      return;
    }
    const spare = this.#place();
    try {
      // Out of the way first: half emptied it must not be found as a run.
      renameSync(path, spare);
      for (const name of readdirSync(spare))
        if (!standing.some((kept) => kept === name)) rmSync(join(spare, name), { recursive: true });
      for (const name of standing) truncateSync(join(spare, name));
      this.#ready.push(spare);
    } catch {
      // Tampered with, or a disk that does not even do this: then it goes as a whole, or says why not.
      for (const each of [path, spare]) rmSync(each, { recursive: true, force: true });
    }
  }

  #place(): string {
    this.#made += 1;
    return join(this.#dir, String(this.#made));
  }
}
