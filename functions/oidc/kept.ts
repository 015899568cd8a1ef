import type { Clock } from '#core/ports/clock.ts';
import { elapsed } from '../cloud/elapsed.ts';

/** After a failure this long the next one who asks is told of it, not made to wait for another. */
const failedMs = 5_000;
/** What holds on while it can't be had again, it does for so long. */
const staleMs = 86_400_000;

/** Something that is fetched when first needed and again when it is old. What can't be had again holds on for a day. No timer, so that it may be frozen. */
export function kept<T>(
  load: () => Promise<T>,
  { clock, freshMs, againMs }: { clock: Pick<Clock, 'now' | 'boot'>; freshMs: number; againMs: number },
) {
  let known: { value: T; age(): number } | null = null;
  let tried: { since(): number; failure: { error: unknown } | null } | null = null;
  let loading: Promise<T> | null = null;

  function anew(): Promise<T> {
    loading ??= load()
      .then(
        (value) => {
          known = { value, age: elapsed(clock) };
          tried = { since: elapsed(clock), failure: null };
          return value;
        },
        (error: unknown) => {
          tried = { since: elapsed(clock), failure: { error } };
          throw error;
        },
      )
      .finally(() => {
        loading = null;
      });
    return loading;
  }

  /** Anew, unless that failed a moment ago. */
  function attempt(): Promise<T> {
    const failure = tried?.failure ?? null;
    if (failure !== null && tried !== null && tried.since() < failedMs) return Promise.reject(failure.error);
    return anew();
  }

  return {
    async now(): Promise<T> {
      const old = known;
      if (old !== null && old.age() < freshMs) return old.value;
      return await attempt().catch((error: unknown) => {
        if (old !== null && old.age() < staleMs) return old.value;
        throw error;
      });
    },
    /** For who misses something in what is known: anew, but not more often than is decent. Throws where it can't be had again. */
    async newer(): Promise<T> {
      if (known !== null && tried?.failure === null && tried.since() < againMs) return known.value;
      return await attempt();
    },
  };
}
