import type { Clock } from '#core/ports/clock.ts';
import type { History } from '#core/ports/history.ts';

/** Those who wait until a run's log may have grown. */
export function logWaiters(clock: Clock) {
  const waiting = new Map<string, Set<() => void>>();

  const wait: History['waitForLog'] = (run, ms, stop) =>
    new Promise((resolve) => {
      if (stop.aborted) return resolve();
      const wakers = waiting.get(run) ?? new Set();
      waiting.set(run, wakers);
      const done = () => {
        cancel();
        stop.removeEventListener('abort', done);
        wakers.delete(done);
        if (wakers.size === 0) waiting.delete(run);
        resolve();
      };
      const cancel = clock.after(ms, done);
      wakers.add(done);
      stop.addEventListener('abort', done, { once: true });
    });

  return {
    wait,
    wake(run: string): void {
      for (const done of [...(waiting.get(run) ?? [])]) done();
    },
    wakeAll(): void {
      for (const wakers of [...waiting.values()]) for (const done of [...wakers]) done();
    },
  };
}
