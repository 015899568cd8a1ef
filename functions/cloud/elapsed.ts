import type { Clock } from '#core/ports/clock.ts';

/**
 * A stopwatch in ms for processes that are frozen and thawed: by whichever of boot time and wall clock has gone further, since one
 * may have stood still.
 */
export function elapsed(clock: Pick<Clock, 'now' | 'boot'>): () => number {
  const [now, boot] = [clock.now(), clock.boot()];
  return () => Math.max(clock.now() - now, clock.boot() - boot);
}
