import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Refusal } from '#core/model/refusal.ts';
import type { Ids } from '#core/ports/ids.ts';

const execFileAsync = promisify(execFile);

/** Made by one process, and made again when so few are left: a process for each would cost more than a run's own start. */
const batch = 32;
const few = 8;
/** A disk that does not answer holds up no more than this, and whoever needs the pipe is told. */
const longestMs = 5_000;

/** Named pipes that nobody has opened yet, made ahead: Node has no call for one. */
export class Fifos {
  readonly #dir: string;
  readonly #ids: Ids;
  readonly #ready: string[] = [];
  #making: Promise<void> | null = null;

  constructor(dir: string, ids: Ids) {
    this.#dir = dir;
    this.#ids = ids;
  }

  /** The path of one, without its `.fifo`: the taker's from now on. Throws what hinders the making of one. */
  async take(): Promise<string> {
    for (;;) {
      const path = this.#ready.pop();
      if (this.#ready.length < few) this.#more();
      if (path !== undefined) return path;
      await this.#making;
    }
  }

  #more(): void {
    if (this.#making !== null) return;
    this.#making = this.#make().finally(() => {
      this.#making = null;
    });
    // Whoever waits for one is told; while some are left nobody needs to know.
    this.#making.catch(() => {});
  }

  async #make(): Promise<void> {
    const paths = Array.from({ length: batch }, () => join(this.#dir, this.#ids.id()));
    const files = paths.map((path) => `${path}.fifo`);
    try {
      await execFileAsync('mkfifo', ['-m', '600', ...files], { timeout: longestMs, killSignal: 'SIGKILL' });
      this.#ready.push(...paths);
    } catch (error) {
      for (const file of files) rmSync(file, { force: true });
      const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
      if (error instanceof Error && 'killed' in error && error.killed === true)
        throw new Refusal(
          'spawn_failed',
          `mkfifo in ${this.#dir} was not done within ${longestMs / 1_000} s`,
        );
      // Started, but it could not do it: its own words say why, a full disk for instance. Not started is told by a code.
      if (said === '') throw error;
      throw new Refusal(
        /No space|quota/i.test(said) ? 'disk_full' : 'spawn_failed',
        said.split('\n')[0] ?? said,
      );
    }
  }

  /** Those that nobody took. */
  async close(): Promise<void> {
    await this.#making?.catch(() => {});
    for (const path of this.#ready.splice(0)) rmSync(`${path}.fifo`, { force: true });
  }
}
