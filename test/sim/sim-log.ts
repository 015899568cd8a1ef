import { createHash } from 'node:crypto';
import { type Change, compareRevisions, type Entry, type Kv, type Revision } from '#core/ports/kv.ts';
import type { World } from './world.ts';

export interface Logged {
  at: number;
  change: Change;
  /** The key's entry before. */
  before: Entry | null;
}

function keyOf(change: Change): string {
  return change.type === 'put' ? change.entry.key : change.key;
}

export function modOf(change: Change): Revision {
  return change.type === 'put' ? change.entry.mod : change.mod;
}

/** Everything that was ever committed, in order, with the true time of it. */
export class SimLog {
  readonly changes: Logged[] = [];
  readonly present = new Map<string, Entry>();
  readonly #byKey = new Map<string, Logged[]>();
  readonly #stop = new AbortController();
  readonly #hash = createHash('sha256');

  /** To be called before anything is written. */
  begin(kv: Kv, prefix: string, world: World): void {
    void kv.follow(prefix, this.#stop.signal, (event) => {
      if (event.type === 'list') return;
      for (const change of event.changes) {
        const key = keyOf(change);
        const logged = { at: world.time, change, before: this.present.get(key) ?? null };
        this.changes.push(logged);
        const known = this.#byKey.get(key);
        if (known === undefined) this.#byKey.set(key, [logged]);
        else known.push(logged);
        this.#hash.update(`${world.time} ${JSON.stringify(change)}\n`);
        if (change.type === 'put') this.present.set(key, change.entry);
        else this.present.delete(key);
      }
    });
  }

  note(what: unknown): void {
    this.#hash.update(`${JSON.stringify(what)}\n`);
  }

  end(): string {
    this.#stop.abort();
    return this.#hash.digest('hex');
  }

  /** What became of one key, in order. */
  of(key: string): readonly Logged[] {
    return this.#byKey.get(key) ?? [];
  }

  /** What stood under `key` when `revision` was about to be written. */
  before(key: string, revision: Revision): Entry | null {
    const last = this.of(key).findLast(({ change }) => compareRevisions(modOf(change), revision) < 0);
    return last?.change.type === 'put' ? last.change.entry : null;
  }
}
