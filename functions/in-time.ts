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
