import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { uptimeText } from './wrapper.ts';

const execFileAsync = promisify(execFile);

/**
 * The pipe on which a gate's wrappers block. Node has no pipe(2): a FIFO is opened read-write (which never blocks), then for reading,
 * then for writing, and its name removed. Closing the write end wakes every wrapper at once, and so does the death of this process:
 * they find no `go` then, and end.
 */
export class GatePipe {
  readonly readEnd: number;
  readonly goFile: string;
  #writeEnd: number | null;

  private constructor(readEnd: number, writeEnd: number, goFile: string) {
    this.readEnd = readEnd;
    this.#writeEnd = writeEnd;
    this.goFile = goFile;
  }

  static async open(dir: string, gate: string, unique: string): Promise<GatePipe> {
    const fifo = join(dir, `${unique}.fifo`);
    await execFileAsync('mkfifo', ['-m', '600', fifo]);
    const both = openSync(fifo, constants.O_RDWR);
    const readEnd = openSync(fifo, constants.O_RDONLY);
    const writeEnd = openSync(fifo, constants.O_WRONLY);
    closeSync(both);
    unlinkSync(fifo);
    return new GatePipe(readEnd, writeEnd, join(dir, `${gate}.go`));
  }

  /** Lets go whoever is claimed, until `deadlineBootMs` by boot time. */
  release(deadlineBootMs: number): void {
    writeFileSync(`${this.goFile}.new`, `${uptimeText(deadlineBootMs)}\n`, { mode: 0o600 });
    renameSync(`${this.goFile}.new`, this.goFile);
    this.close();
  }

  /** Without a `go` before it: whoever waits ends without starting anything. */
  close(): void {
    if (this.#writeEnd === null) return;
    closeSync(this.#writeEnd);
    closeSync(this.readEnd);
    this.#writeEnd = null;
  }

  forget(): void {
    rmSync(this.goFile, { force: true });
  }
}
