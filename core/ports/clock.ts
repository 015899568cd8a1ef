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
