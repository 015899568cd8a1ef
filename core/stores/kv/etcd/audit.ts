import { compareRevisions, type FollowEvent, type Revision } from '#core/ports/kv.ts';

/** How the store stands below a prefix, asked beside the watch. */
export interface Standing {
  revision: Revision;
  /** Keys at `revision`. */
  count: number;
  /** The newest change among the keys at `revision` that came after what was seen at the asking; null: none. */
  newest: Revision | null;
}

/**
 * Holds what a follower was told against what stands in the store: by the number of keys and by the newest change, so that none
 * of them needs to be kept. A watch that lost something would otherwise be believed for ever.
 */
export class Audit {
  #count = 0;
  #seen: Revision = '0';
  /** What was asked, and what was told up to its revision. */
  #asked: { standing: Standing; count: number; seen: Revision } | null = null;

  get seen(): Revision {
    return this.#seen;
  }

  told(event: FollowEvent): void {
    if (event.type === 'list') {
      this.#count = event.entries.length;
      this.#asked = null;
    } else
      for (const change of event.changes) {
        if (change.type === 'delete') this.#count--;
        else if (change.entry.version === 1) this.#count++;
      }
    this.#seen = event.revision;
    if (this.#asked && compareRevisions(this.#seen, this.#asked.standing.revision) <= 0)
      this.#asked = { ...this.#asked, count: this.#count, seen: this.#seen };
  }

  /** Of `standing`, asked a moment ago: changes of later revisions may have been told already, and then nothing can be said. */
  ask(standing: Standing): void {
    const early = compareRevisions(this.#seen, standing.revision) > 0;
    this.#asked = early ? null : { standing, count: this.#count, seen: this.#seen };
  }

  /** Called when whatever was under way at the asking must have come: whether something is missing. */
  differs(): boolean {
    if (!this.#asked) return false;
    const { standing, count, seen } = this.#asked;
    this.#asked = null;
    const missed = standing.newest !== null && compareRevisions(seen, standing.newest) < 0;
    return missed || count !== standing.count;
  }
}
