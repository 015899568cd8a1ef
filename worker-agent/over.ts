import type { RunId } from '#core/model/ids.ts';
import type { Clock } from '#core/ports/clock.ts';

/** Kept so long, and the newest ones beyond that: an answer is not under way for longer, but its reader may have stood still. */
const keptMs = 120_000;
const keptAtLeast = 1_000;

/**
 * The runs that ended in this life of the agent, for a while: an answer that was long under way, or a stale sight of a key, must
 * not bring one of them to life again.
 */
export function createOver(clock: Pick<Clock, 'boot'>) {
  const ended = new Map<RunId, number>();
  return {
    add(run: RunId): void {
      ended.set(run, clock.boot());
      for (const [oldest, at] of ended) {
        if (ended.size <= keptAtLeast || clock.boot() - at < keptMs) return;
        ended.delete(oldest);
      }
    },
    has: (run: RunId): boolean => ended.has(run),
  };
}
