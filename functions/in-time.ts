import type { Clock } from '#core/ports/clock.ts';
import { HistoryError } from '#core/ports/history.ts';

/** What has been done is not to wait for what History has to say of it, or be told, for longer than this. */
const answerMs = 2_000;

/** What History answers; HistoryError `unavailable` where it takes its time. It may come to it all the same. */
export async function inTime<T>(clock: Clock, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const cancel = clock.after(answerMs, () =>
    late.reject(new HistoryError('unavailable', `the history does not answer within ${answerMs} ms`)),
  );
  return await Promise.race([work, late.promise]).finally(cancel);
}

/** That, or null where History is away: what only it knows is left out of an answer then, and `away` in it says so. */
export async function unlessAway<T extends object | null>(clock: Clock, work: Promise<T>): Promise<T | null> {
  try {
    return await inTime(clock, work);
  } catch (error) {
    // It may be away for an hour: whoever asks for what the store of jobs knows must not be blind for so long.
    if (error instanceof HistoryError) return null;
    throw error;
  }
}
