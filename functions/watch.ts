import { putLook } from '#core/cluster/last-look.ts';
import { type LookOut, lookOut } from '#core/cluster/look-out.ts';
import type { AppDeps } from './deps.ts';

/** Who is told what a look found: whoever raises alerts, and takes back those whose cause is gone. */
export type Heed = (seen: LookOut) => Promise<void>;

/** Of one look no more than this is told one by one; the sums tell of the rest. */
const mostTold = 100;

/** One look of the watchdog: from a scheduled function, or by a server's timer. Everybody is told, then the first failure is thrown. */
export async function watch(
  { kv, layout, history, clock, events }: Pick<AppDeps, 'kv' | 'layout' | 'history' | 'clock' | 'events'>,
  heeds: readonly Heed[],
): Promise<LookOut> {
  // By the clock that workers go by: by one of its own that is an hour ahead all schedules were overdue.
  const now = await history.now().catch(() => clock.now());
  const seen = await lookOut({ kv, layout, now: () => now }, history);
  const { at, jobs, newest, live, overdue, dead, unreadable } = seen;
  events.emit({
    ...{ type: 'watchdog.looked', at, jobs, newest, live },
    ...{ overdue: overdue.length, dead: dead.length, unreadable: unreadable.length },
  });
  await putLook(kv, layout, { at, newest });
  for (const one of overdue.slice(0, mostTold)) events.emit({ type: 'watchdog.overdue', ...one });
  for (const one of dead.slice(0, mostTold)) events.emit({ type: 'watchdog.dead', ...one });
  for (const one of unreadable.slice(0, mostTold)) events.emit({ type: 'key.invalid', ...one });
  const told = await Promise.allSettled(heeds.map((heed) => heed(seen)));
  const failed = told.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return seen;
}
