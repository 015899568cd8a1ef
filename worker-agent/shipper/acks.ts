import type { RunId } from '#core/model/ids.ts';
import type { Clock } from '#core/ports/clock.ts';

const kept = 4_096;

/** Whose terminal record History has, for those who wait for it; the last few thousand are remembered. */
export function createAcks(clock: Clock) {
  const done = new Set<RunId>();
  const waiters = new Map<RunId, Set<(acked: boolean) => void>>();
  return {
    acked(run: RunId): void {
      done.delete(run);
      done.add(run);
      const [oldest] = done;
      if (done.size > kept && oldest !== undefined) done.delete(oldest);
      for (const tell of waiters.get(run) ?? []) tell(true);
    },
    wait(run: RunId, ms: number): Promise<boolean> {
      if (done.has(run)) return Promise.resolve(true);
      return new Promise((resolve) => {
        const all = waiters.get(run) ?? new Set();
        waiters.set(run, all);
        const tell = (acked: boolean) => {
          cancel();
          all.delete(tell);
          if (all.size === 0) waiters.delete(run);
          resolve(acked);
        };
        const cancel = Number.isFinite(ms) ? clock.after(ms, () => tell(false)) : () => {};
        all.add(tell);
      });
    },
    /** Nothing will be acknowledged any more. */
    close(): void {
      for (const all of [...waiters.values()]) for (const tell of [...all]) tell(false);
    },
  };
}
