import { type FollowEvent, prefixRange, type Revision } from '#core/ports/kv.ts';
import type { KvState } from './kv-state.ts';

interface Follower {
  prefix: string;
  see: (event: FollowEvent) => void;
  /** Up to where it was told; null until its first list. */
  seen: Revision | null;
  ended: boolean;
  fail: (error: unknown) => void;
}

/**
 * Those who follow through one connection. They are told in a microtask after what they are told of, in the order
 * in which they came: soon, never inside somebody's call, and the same way in every run of a simulation.
 */
export class Followers {
  readonly #state: KvState;
  readonly #followers = new Set<Follower>();
  readonly #enders = new Set<() => void>();
  #due = false;
  #holds = 0;

  constructor(state: KvState) {
    this.#state = state;
  }

  /** Settles after `stop` or `close`; rejects with what `see` throws. */
  add(prefix: string, stop: AbortSignal, see: (event: FollowEvent) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        follower.ended = true;
        this.#followers.delete(follower);
        this.#enders.delete(ended);
        stop.removeEventListener('abort', ended);
        settle();
      };
      const ended = () => end(resolve);
      const follower: Follower = {
        prefix,
        see,
        seen: null,
        ended: false,
        fail: (error) => end(() => reject(error)),
      };
      if (stop.aborted) return resolve();
      stop.addEventListener('abort', ended, { once: true });
      this.#followers.add(follower);
      this.#enders.add(ended);
      this.wake();
    });
  }

  /** Something changed, or somebody came. */
  wake(): void {
    if (this.#due || this.#holds > 0) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (this.#holds > 0) return;
      for (const follower of [...this.#followers]) this.#tell(follower);
    });
  }

  /** Tells nobody anything until the answer is called. */
  hold(): () => void {
    let held = true;
    this.#holds++;
    return () => {
      if (held) this.#holds--;
      held = false;
      this.wake();
    };
  }

  close(): void {
    for (const end of [...this.#enders]) end();
  }

  #tell(follower: Follower): void {
    try {
      for (const event of this.#news(follower)) {
        if (follower.ended) return;
        follower.see(event);
      }
    } catch (error) {
      // The contract: a throw of `see` is thrown from its own follow, and no other follower notices.
      follower.fail(error);
    }
  }

  #news(follower: Follower): FollowEvent[] {
    const { revision } = this.#state;
    const changes = follower.seen === null ? null : this.#state.changesAfter(follower.seen, follower.prefix);
    follower.seen = revision;
    if (changes) return changes.map((change) => ({ type: 'changes', ...change }));
    return [{ type: 'list', entries: this.#state.read(prefixRange(follower.prefix)).entries, revision }];
  }
}
