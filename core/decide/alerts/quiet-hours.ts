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

/** When the quiet hours that `now` (UTC ms) lies in end; null: it lies in none. */
export function quietUntil(quiet: QuietHours | null, now: number): number | null {
  if (quiet === null) return null;
  const zone = zoneNamed(quiet.timezone);
  const offsetMs = (at: number) => (zone?.offset(Math.floor(at / 1_000)) ?? 0) * 1_000;
  const local = now + offsetMs(now);
  const minute = Math.floor(local / minuteMs) % dayMinutes;
  const [from, to] = [minutesOf(quiet.from), minutesOf(quiet.to)];
  const within = from <= to ? minute >= from && minute < to : minute >= from || minute < to;
  if (!within) return null;
  const left = (to - minute + dayMinutes) % dayMinutes;
  const until = Math.floor(now / minuteMs) * minuteMs + left * minuteMs;
  // Clocks may change before then. Where they go back over the end itself it comes twice: the next look finds which.
  return Math.max(until - (offsetMs(until) - offsetMs(now)), now + minuteMs);
}

function minutesOf(text: string): number {
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  return hours * 60 + minutes;
}
