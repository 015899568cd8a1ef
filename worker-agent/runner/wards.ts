import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunId } from '#core/model/ids.ts';
import { isCode } from './faults.ts';

/** No run's id begins so. */
const own = '=';

/**
 * What an agent and its warden have in common, in files that outlive both: the runs that must not go on without the lease, and until when
 * (boot time) it holds.
 */
export class Wards {
  readonly #dir: string;

  constructor(root: string) {
    this.#dir = join(root, 'wards');
  }

  add(run: RunId): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    writeFileSync(join(this.#dir, run), '', { mode: 0o600 });
  }

  remove(run: RunId): void {
    rmSync(join(this.#dir, run), { force: true });
  }

  list(): RunId[] {
    try {
      return readdirSync(this.#dir).filter((name) => !name.startsWith(own));
    } catch (error) {
      if (isCode(error, 'ENOENT')) return [];
      throw error;
    }
  }

  hold(deadlineBootMs: number): void {
    this.#put('deadline', String(Math.floor(deadlineBootMs)));
  }

  /** null: none was ever held, or the folder is gone. */
  deadline(): number | null {
    const text = this.#text('deadline');
    return text === null ? null : Number(text);
  }

  /** The last to come is the warden; whoever was it before goes. */
  takeOver(pid: number): void {
    this.#put('warden', String(pid));
  }

  warden(): number | null {
    const text = this.#text('warden');
    return text === null ? null : Number(text);
  }

  /** Replaced as a whole: it is read at any time. */
  #put(name: string, text: string): void {
    const file = join(this.#dir, `${own}${name}`);
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  #text(name: string): string | null {
    try {
      return readFileSync(join(this.#dir, `${own}${name}`), 'latin1');
    } catch (error) {
      if (isCode(error, 'ENOENT')) return null;
      throw error;
    }
  }
}
