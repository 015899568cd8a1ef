import { createHash } from 'node:crypto';
import type { Change, Entry, Kv, Revision } from '#core/ports/kv.ts';
import type { World } from './world.ts';

export interface Logged {
  at: number;
  change: Change;
  /** The key's entry before. */
  before: Entry | null;
}

/** Everything that was ever committed, in order, with the true time of it. */
export class SimLog {
  readonly changes: Logged[] = [];
  readonly present = new Map<string, Entry>();
  readonly #stop = new AbortController();
  readonly #hash = createHash('sha256');

  /** To be called before anything is written. */
  begin(kv: Kv, prefix: string, world: World): void {
    void kv.follow(prefix, this.#stop.signal, (event) => {
      if (event.type === 'list') return;
      for (const change of event.changes) {
        const key = change.type === 'put' ? change.entry.key : change.key;
        this.changes.push({ at: world.time, change, before: this.present.get(key) ?? null });
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

  /** What stood under `key` when `revision` was about to be written. */
  before(key: string, revision: Revision): Entry | null {
    let found: Entry | null = null;
    for (const { change } of this.changes) {
      const at = change.type === 'put' ? change.entry.mod : change.mod;
      if (BigInt(at) >= BigInt(revision)) break;
      if (change.type === 'put' && change.entry.key === key) found = change.entry;
      if (change.type === 'delete' && change.key === key) found = null;
    }
    return found;
  }
}
