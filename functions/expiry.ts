import { type Clock, sleep } from '#core/ports/clock.ts';
import type { History } from '#core/ports/history.ts';

/** How often History forgets what has expired. */
const everyMs = 60_000;

/** Has History forget what has expired, until `stop`. Several servers may do so at once. */
export async function keepForgetting(
  { history, clock }: { history: Pick<History, 'expire'>; clock: Clock },
  stop: AbortSignal,
  failed: (error: unknown) => void,
): Promise<void> {
  while (!stop.aborted) {
    try {
      await history.expire(clock.now());
    } catch (error) {
      // The next round takes what this one could not.
      failed(error);
    }
    await sleep(clock, everyMs, stop);
  }
}
