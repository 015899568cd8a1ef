import { zoneNamed } from '#core/schedule/zone.ts';

/** A stretch of each day, wall clock of a zone, in which a channel is told nothing; `from` after `to` goes over midnight. */
export interface QuietHours {
  /** `22:00` */
  from: string;
  to: string;
  timezone: string;
}

const minuteMs = 60_000;
const dayMinutes = 1_440;

/** When the quiet hours that `now` (UTC ms) lies in end; null: it lies in none. A change of clocks before then may move it: ask again. */
export function quietUntil(quiet: QuietHours | null, now: number): number | null {
  if (quiet === null) return null;
  const offset = zoneNamed(quiet.timezone)?.offset(Math.floor(now / 1_000)) ?? 0;
  const local = now + offset * 1_000;
  const minute = Math.floor(local / minuteMs) % dayMinutes;
  const [from, to] = [minutesOf(quiet.from), minutesOf(quiet.to)];
  const within = from <= to ? minute >= from && minute < to : minute >= from || minute < to;
  if (!within) return null;
  const left = (to - minute + dayMinutes) % dayMinutes;
  return Math.floor(now / minuteMs) * minuteMs + left * minuteMs;
}

function minutesOf(text: string): number {
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  return hours * 60 + minutes;
}
