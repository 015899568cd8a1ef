import type { Clock } from '#core/ports/clock.ts';

interface Entry {
  at: number;
  /** Ties go in the order of asking, so that a seed gives one history. */
  order: number;
  act: (() => void) | null;
}

/** Never asleep for longer: a stepped wall clock or a resumed host is noticed within this. */
const longestSleepMs = 1_000;

/**
 * Things to do at wall times, in order of time. The wall clock may step, so it is looked at anew on every waking;
 * nothing is ever done before its time by that clock.
 */
export function timeline(clock: Clock) {
  const heap: Entry[] = [];
  let asked = 0;
  let cancelTimer: (() => void) | null = null;
  let timerAt = Number.POSITIVE_INFINITY;
  let stopped = false;
  const waits = new Set<() => void>();

  const before = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.order < b.order);

  function push(entry: Entry): void {
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  function pop(): void {
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      const l = heap[left];
      const r = heap[right];
      if (l === undefined) break;
      const [child, place] = r !== undefined && before(r, l) ? [r, right] : [l, left];
      if (!before(child, last)) break;
      heap[at] = child;
      at = place;
    }
    heap[at] = last;
  }

  function arrange(): void {
    const [top] = heap;
    if (stopped || top === undefined) return;
    const now = clock.now();
    const wakeAt = Math.min(top.at, now + longestSleepMs);
    if (cancelTimer !== null && timerAt <= wakeAt) return;
    cancelTimer?.();
    timerAt = wakeAt;
    cancelTimer = clock.after(Math.max(0, wakeAt - now), fire);
  }

  function fire(): void {
    cancelTimer = null;
    timerAt = Number.POSITIVE_INFINITY;
    for (let [top] = heap; top !== undefined && (top.act === null || top.at <= clock.now()); [top] = heap) {
      pop();
      top.act?.();
    }
    arrange();
  }

  return {
    /** Calls `act` once, when the wall clock has reached `at`; never within this call. Returns a canceller. */
    at(at: number, act: () => void): () => void {
      const entry: Entry = { at, order: asked++, act };
      push(entry);
      arrange();
      return () => {
        entry.act = null;
      };
    },
    /** Calls `act` once, `ms` from now by a clock that does not step: a wait is no longer for that the wall clock was set back meanwhile. */
    in(ms: number, act: () => void): () => void {
      if (stopped) return () => {};
      const cancel = clock.after(ms, () => {
        waits.delete(cancel);
        act();
      });
      waits.add(cancel);
      return () => {
        cancel();
        waits.delete(cancel);
      };
    },
    /** Resolves when the wall clock has reached `at`; at once when it has. */
    reached(at: number): Promise<void> {
      if (clock.now() >= at) return Promise.resolve();
      return new Promise((resolve) => {
        this.at(at, resolve);
      });
    },
    /** Drops everything; what waits for `reached` waits for ever. */
    stop(): void {
      stopped = true;
      cancelTimer?.();
      heap.length = 0;
      for (const cancel of waits) cancel();
      waits.clear();
    },
  };
}
export type Timeline = ReturnType<typeof timeline>;
