interface Due {
  at: number;
  order: number;
  fn: (() => void) | null;
}

/** 2026-11-22T16:35:00Z: where every simulation begins. */
export const epoch = Date.UTC(2026, 10, 22, 16, 35);

/**
 * The true time, and everything that is going to happen, in order. One thing happens at a time, and all that follows from
 * it without time passing (promises) is over before the next.
 */
export class World {
  /** True ms since the beginning. */
  time = 0;
  readonly #heap: Due[] = [];
  #order = 0;
  #steps = 0;

  /** True UTC ms: what a perfect clock shows. */
  get utc(): number {
    return epoch + this.time;
  }

  /** How many things have happened. */
  get steps(): number {
    return this.#steps;
  }

  after(ms: number, fn: () => void): () => void {
    const due: Due = { at: this.time + Math.max(0, ms), order: this.#order++, fn };
    this.#push(due);
    return () => {
      due.fn = null;
    };
  }

  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (let [next] = this.#heap; next !== undefined && next.at <= end; [next] = this.#heap) {
      this.#pop();
      if (next.fn === null) continue;
      this.time = next.at;
      this.#steps += 1;
      next.fn();
      await settle();
    }
    this.time = end;
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let at = heap.push(due) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(due, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      if (left === undefined) break;
      const [child, place] =
        right !== undefined && before(right, left) ? [right, 2 * at + 2] : [left, 2 * at + 1];
      if (!before(child, last)) break;
      heap[at] = child;
      at = place;
    }
    heap[at] = last;
  }
}

function before(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Promises are through when the event loop comes round: nothing in the simulation does real I/O. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
