import type { JobInput } from '#core/model/job.ts';
import { wallOf } from '#core/schedule/calendar.ts';
import { type ClockChange, changesOf } from '#core/schedule/changes.ts';
import type { Cron } from '#core/schedule/cron.ts';
import { parseSchedule } from '#core/schedule/parse.ts';
import { day } from '#core/schedule/phrases.ts';
import { goes, moves, skippedBy } from '#core/schedule/preview.ts';

/** Every yearly rule of a clock shows itself. */
const aheadS = 400 * 86_400;

/**
 * In what a line that was taken over differs from cron at the next change of clocks, of those within a year; null: in nothing. cron(8)
 * runs a fixed job once for each of its times that the change skips, one after the other; here it is one instant (`dst`: vixie).
 */
export function clockChangeOf(job: JobInput, nowMs: number): string | null {
  if (job.schedule == null) return null;
  const schedule = parseSchedule(job.schedule, { timezone: job.timezone, dst: job.dst });
  const { sources, zone } = schedule.plan;
  const now = Math.floor(nowMs / 1_000);
  for (const change of changesOf(zone, now, now + aheadS))
    for (const source of sources) {
      if (source.type !== 'cron' || !moves(schedule, source.cron, change)) continue;
      const times = timesIn(source.cron, change);
      if (times > 1)
        return `on ${day(wallOf(change.from))} ${goes(change)} in ${zone.name}: cron would run it ${times} times then (for ${skippedBy(schedule, change)}), cronfleet runs it once`;
    }
  return null;
}

function timesIn(cron: Cron, { from, to }: ClockChange): number {
  let count = 0;
  for (let at = cron.next(from, to); at < to; at = cron.next(at + 1, to)) count += 1;
  return count;
}
