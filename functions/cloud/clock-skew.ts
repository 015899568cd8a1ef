import type { Clock } from '#core/ports/clock.ts';
import type { History } from '#core/ports/history.ts';
import { elapsed } from './elapsed.ts';

const freshMs = 600_000;

/** How far this host's clock is from reference time: measured when a write comes that may need it, for no timer runs in between. */
export function clockSkew({
  history,
  clock,
}: {
  history: Pick<History, 'now'>;
  clock: Pick<Clock, 'now' | 'boot'>;
}) {
  let known: { ms: number; age(): number } | null = null;

  async function measure(): Promise<void> {
    if (known !== null && known.age() < freshMs) return;
    try {
      // The first call may open a connection, and would measure how long that takes.
      if (known === null) await history.now();
      const began = clock.now();
      const there = await history.now();
      known = { ms: Math.round((began + clock.now()) / 2 - there), age: elapsed(clock) };
    } catch {
      // Away: the last offset holds, and without one the write that needs it is refused by name.
    }
  }
  return { measure, ms: () => known?.ms ?? null };
}
