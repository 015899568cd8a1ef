/**
 * Time as an argument. Every room but the roots gets its time from here; the simulation hands in a virtual one.
 */
export interface Clock {
  /** UTC milliseconds by the wall clock, which may step. */
  now(): number;
  /** Milliseconds of boot time: never steps, and counts the time the host was suspended (/proc/uptime's clock). */
  boot(): number;
  /**
   * Calls `fn` once, `ms` from now by the monotonic clock. Returns a canceller, safe to call at any time.
   * A real clock never sleeps more than 30 s at a stretch: who waits for a wall time must look again when woken.
   */
  after(ms: number, fn: () => void): () => void;
}

/**
 * How far (ms) a clock elsewhere is ahead of ours at the least, by the time that it told in an answer; negative: behind. When between asking
 * and the answer it told that is not known, so a slow answer accuses no clock.
 */
export function aheadBy(told: number, asked: number, answered: number): number {
  return told - Math.max(asked, Math.min(told, answered));
}

/** Resolves after `ms`, or at once when `stop` fires. It never rejects: who waits asks `stop.aborted` itself. */
export function sleep(clock: Clock, ms: number, stop?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop?.aborted) return resolve();
    const done = () => {
      cancel();
      stop?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    stop?.addEventListener('abort', done, { once: true });
  });
}
