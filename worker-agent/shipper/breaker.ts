import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { Ids } from '#core/ports/ids.ts';

const firstMs = 250;
const longestMs = 30_000;

/** Knows whether History is away, and how long to leave it alone: 250 ms doubling to 30 s, each jittered by half. */
export function createBreaker({
  clock,
  ids,
  events,
}: {
  clock: Clock;
  ids: Pick<Ids, 'chance'>;
  events: Events;
}) {
  let since: number | null = null;
  let failures = 0;
  return {
    away: () => since !== null,
    /** A call failed; ms until the next try. */
    failed(error: unknown): number {
      const delay = Math.min(longestMs, firstMs * 2 ** failures++);
      const retryInMs = Math.round(delay * (0.5 + ids.chance() / 2));
      if (since === null) {
        since = clock.boot();
        events.emit({ type: 'ledger.away', error, retryInMs });
      }
      return retryInMs;
    },
    succeeded(): void {
      if (since !== null) events.emit({ type: 'ledger.back', awayMs: clock.boot() - since });
      since = null;
      failures = 0;
    },
  };
}
export type Breaker = ReturnType<typeof createBreaker>;
