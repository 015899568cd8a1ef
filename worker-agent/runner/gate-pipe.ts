import { closeSync, constants, openSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { uptimeText } from './wrapper.ts';

/**
 * The pipe on which a gate's wrappers block. Node has no pipe(2): a FIFO is opened read-write (which never blocks), then for reading,
 * then for writing, and its name removed. Closing the write end wakes every wrapper at once, and so does the death of this process:
 * they find no `go` then, and end. Pipe and `go` serve once and under a name of their own: a wrapper that wakes very late must
 * neither block again nor find the `go` of somebody else.
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

  /** Of the named pipe at `path`.fifo, whose name it removes; its `go` will stand beside it. */
  static open(path: string): GatePipe {
    const fifo = `${path}.fifo`;
    const goFile = `${path}.go`;
    const opened: number[] = [];
    const open = (flags: number) => opened[opened.push(openSync(fifo, flags)) - 1] ?? -1;
    try {
      const both = open(constants.O_RDWR);
      const pipe = new GatePipe(open(constants.O_RDONLY), open(constants.O_WRONLY), goFile);
      // Its room on the disk is taken now: at the instant the disk may be full.
      writeFileSync(`${goFile}.new`, `${uptimeText(0)}\n`, { mode: 0o600 });
      closeSync(both);
      unlinkSync(fifo);
      return pipe;
    } catch (error) {
      for (const fd of opened) closeSync(fd);
      for (const file of [fifo, `${goFile}.new`]) rmSync(file, { force: true });
      throw error;
    }
  }

  /** Lets go whoever is claimed, until `deadlineBootMs` by boot time. Throws what the disk says; then nobody starts. */
  release(deadlineBootMs: number): void {
    try {
      writeFileSync(`${this.goFile}.new`, `${uptimeText(deadlineBootMs)}\n`, { flag: 'r+' });
      renameSync(`${this.goFile}.new`, this.goFile);
    } finally {
      this.#hangUp();
    }
  }

  /** Without a `go` before it: whoever waits ends without starting anything. */
  close(): void {
    this.#hangUp();
    this.forget();
  }

  /** Once every wrapper has read it. */
  forget(): void {
    rmSync(this.goFile, { force: true });
    rmSync(`${this.goFile}.new`, { force: true });
  }

  #hangUp(): void {
    if (this.#writeEnd === null) return;
    closeSync(this.#writeEnd);
    closeSync(this.readEnd);
    this.#writeEnd = null;
  }
}
