import { type Clock, sleep } from '#core/ports/clock.ts';
import type { History } from '#core/ports/history.ts';

/** How far this host's wall clock is off the time that all agree on. */
export interface ReferenceTime {
  /** ms by which the wall clock is ahead (negative: behind), as of now; null: nothing is known yet. */
  skewMs(): number | null;
  /** Asks anew. Settles when it is answered, or can't be. */
  look(): Promise<void>;
  /** Keeps asking until `stop`. */
  run(stop: AbortSignal): Promise<void>;
}

/** Where nobody else's time counts: the host's own is the reference. */
export const hostTime: ReferenceTime = {
  skewMs: () => 0,
  look: async () => {},
  run: async () => {},
};

/** What the clocks of those are measured against who use this History. In a file it is one host's, and so is the time. */
export function referenceOf(
  historyUrl: string,
  deps: { history: Pick<History, 'now'>; clock: Clock },
): ReferenceTime {
  return historyUrl.startsWith('sqlite:') ? hostTime : referenceTime(deps);
}

/** How often History is asked. */
const lookEveryMs = 10_000;
/** How often the wall clock is held against boot time, which tells of a step at once. */
const glanceEveryMs = 1_000;
/** A difference to the last look beyond this is a step: History is asked at once. */
const stepMs = 100;
/** An answer that took no longer is as good as any. */
const quickMs = 500;
/** A slow first answer is asked for so often in all: it had to wait for a connection, all of it on the way there. */
const firstTries = 3;

/**
 * Reference time is History's. What is kept of an answer is its distance from boot time, which neither steps nor stands still: so a step of the
 * wall clock shows in the very next `skewMs()`, and the last answer holds for as long as History is away.
 */
export function referenceTime({
  history,
  clock,
}: {
  history: Pick<History, 'now'>;
  clock: Clock;
}): ReferenceTime {
  /** Reference time less boot time, ms. */
  let base: number | null = null;
  /** The offset as the last answer gave it. */
  let answered = 0;
  let askedAt = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | null = null;

  /** The same by this host's own word when it began: as long as nobody has answered, it tells of steps at least. */
  const assumed = clock.now() - clock.boot();

  function skewMs(): number | null {
    const offMs = Math.round(clock.now() - (clock.boot() + (base ?? assumed)));
    return base !== null || Math.abs(offMs) > stepMs ? offMs : null;
  }

  /** Between what and what reference time less boot time was; null: no answer came. */
  async function answer(): Promise<{ least: number; most: number } | null> {
    const sent = clock.boot();
    askedAt = sent;
    try {
      const reference = await history.now();
      // It was read at some time in between.
      return { least: reference - clock.boot(), most: reference - sent };
    } catch {
      // It is away, and others say so: the last answer holds.
      return null;
    }
  }

  async function ask(): Promise<void> {
    let best = await answer();
    for (let tried = 1; base === null && tried < firstTries; tried += 1) {
      if (best === null || best.most - best.least <= quickMs) break;
      const next = await answer();
      if (next !== null && next.most - next.least < best.most - best.least) best = next;
    }
    if (best === null) return;
    const { least, most } = best;
    // Of a slow answer no more than that is taken in.
    base =
      base === null || most - least <= quickMs ? (least + most) / 2 : Math.max(least, Math.min(base, most));
    answered = skewMs() ?? 0;
  }

  function look(): Promise<void> {
    asking ??= ask().finally(() => {
      asking = null;
    });
    return asking;
  }

  return {
    skewMs,
    look,
    async run(stop) {
      while (!stop.aborted) {
        const stepped = Math.abs((skewMs() ?? 0) - answered) > stepMs;
        // Not waited for: an answer that never comes must not hold up a stop.
        if (stepped || base === null || clock.boot() - askedAt >= lookEveryMs) void look();
        await sleep(clock, glanceEveryMs, stop);
      }
    },
  };
}
