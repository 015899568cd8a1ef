import { type Wall, wallOf } from './calendar.ts';
import { type ClockChange, changesOf } from './changes.ts';
import type { Cron } from './cron.ts';
import { clock, day, two } from './phrases.ts';
import type { Schedule } from './schedule.ts';
import { END } from './wall-clock.ts';
import { CORRECTION } from './zone.ts';

export interface PreviewItem {
  /** UTC milliseconds. */
  instant: number;
  /** The zone's wall clock with its offset: `2027-03-28T03:00:00+02:00`. */
  local: string;
  /** What the clocks do there, where they do something; else null. */
  note: string | null;
}

/** The next `count` instants after `fromMs`, each as the zone's clock shows it and with a note where clocks change. */
export function preview(schedule: Schedule, fromMs: number, count: number): PreviewItem[] {
  const items: PreviewItem[] = [];
  let before = fromMs;
  for (const instant of schedule.between(fromMs, END * 1000, count)) {
    items.push({ instant, local: localText(schedule, instant), note: noteAt(schedule, before, instant) });
    before = instant;
  }
  return items;
}

/** An instant as the schedule's zone shows it, with its offset. */
export function localText(schedule: Schedule, ms: number): string {
  const { offset } = schedule.plan.zone.at(Math.floor(ms / 1000));
  const wall = wallOf(Math.floor(ms / 1000) + offset);
  const sign = offset < 0 ? '-' : '+';
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 3_600), Math.floor(Math.abs(offset) / 60) % 60];
  const fraction = ms % 1000 === 0 ? '' : `.${String(ms % 1000).padStart(3, '0')}`;
  const time = `${two(wall.hour)}:${two(wall.minute)}:${two(wall.second)}${fraction}`;
  return `${day(wall)}T${time}${sign}${two(hours)}:${two(minutes)}`;
}

function noteAt(schedule: Schedule, beforeMs: number, ms: number): string | null {
  const { zone } = schedule.plan;
  const at = Math.floor(ms / 1000);
  const from = Math.max(0, Math.floor(beforeMs / 1000));
  const change = changesOf(zone, from, at, 1_000).at(-1);
  const segment = zone.at(at);
  const shown = time(wallOf(at + segment.offset));
  if (at < segment.fresh) return `clocks went back: ${shown} comes for the second time`;
  const [coming] = changesOf(zone, at, at + CORRECTION);
  if (coming && coming.by < 0 && -coming.by < CORRECTION && at + segment.offset >= coming.to) {
    const again = schedule.has((at - coming.by) * 1000)
      ? 'this is the first time'
      : 'only the first time counts';
    return `${goes(coming)}: ${shown} comes twice, ${again}`;
  }
  if (!change) return null;
  const skipped = skippedBy(schedule, change);
  const several = skipped.includes(' ');
  const when = `${skipped} ${several ? 'do' : 'does'} not exist`;
  const left = `and ${several ? 'are' : 'is'} left out`;
  if (change.at === at && skipped !== '') {
    const moved = schedule.plan.sources.some(
      (one) => one.type === 'cron' && moves(schedule, one.cron, change),
    );
    return `${goes(change)}: ${when}${moved ? `, runs at ${shown}` : ` ${left}`}`;
  }
  const since = change.at === at ? goes(change) : `${goes(change)} on ${day(wallOf(change.to))}`;
  if (skipped !== '') return `${since}: ${when} ${left}`;
  return zone.at(from).offset === segment.offset ? null : since;
}

/** Whether the job's rule makes one instant, at the change, of the expression's times that the change skips. */
export function moves(schedule: Schedule, cron: Cron, change: ClockChange): boolean {
  return (
    schedule.plan.dst === 'vixie' &&
    !cron.wildcard &&
    change.by > 0 &&
    change.by < CORRECTION &&
    cron.next(change.from, change.to) < change.to
  );
}

/** The planned times that a change forward skips: one, or the first and the last. */
export function skippedBy(schedule: Schedule, change: ClockChange): string {
  if (change.by < 0) return '';
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const source of schedule.plan.sources) {
    if (source.type !== 'cron') continue;
    first = Math.min(first, source.cron.next(change.from, change.to));
    last = Math.max(last, source.cron.prev(change.to - 1, change.from));
  }
  if (first >= change.to) return '';
  const texts = [time(wallOf(first)), time(wallOf(last))];
  return first === last ? texts.slice(0, 1).join('') : texts.join(' to ');
}

/** "clocks go forward from 02:00 to 03:00". */
export function goes(change: ClockChange): string {
  const [from, to] = [wallOf(change.from), wallOf(change.to)];
  if (Math.abs(change.by) >= CORRECTION)
    return `clocks jump from ${day(from)} ${time(from)} to ${day(to)} ${time(to)}`;
  return `clocks go ${change.by > 0 ? 'forward' : 'back'} from ${time(from)} to ${time(to)}`;
}

function time(wall: Wall): string {
  return clock(wall.hour, wall.minute, wall.second);
}
