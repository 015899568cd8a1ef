/**
 * The Gregorian calendar as two small tables. Days count from 1970-01-01 = 0, months from January 1970 = 0; both
 * may be negative. The calendar repeats exactly after 400 years, weekdays included (146,097 days are 20,871 weeks),
 * so one cycle holds all there is, and a search through one cycle of months has seen every month there can be.
 */
export const DAY = 86_400;
export const DAYS_PER_CYCLE = 146_097;
export const MONTHS_PER_CYCLE = 4_800;
/** Seconds of 400 Gregorian years. */
export const CYCLE = DAYS_PER_CYCLE * DAY;
/** Kinds of months: four lengths times seven weekdays of their first day. */
export const KINDS = 28;

const starts = new Int32Array(MONTHS_PER_CYCLE + 1);
const kinds = new Uint8Array(MONTHS_PER_CYCLE);

function leap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** Days in a month; `month` counts from 1. */
export function daysIn(year: number, month: number): number {
  if (month === 2) return leap(year) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

let start = 0;
for (let month = 0; month < MONTHS_PER_CYCLE; month++) {
  const length = daysIn(1970 + Math.floor(month / 12), (month % 12) + 1);
  starts[month] = start;
  kinds[month] = (length - 28) * 7 + ((start + 4) % 7);
  start += length;
}
starts[MONTHS_PER_CYCLE] = start;

/** The month that a day lies in. */
export function monthOfDay(day: number): number {
  const cycle = Math.floor(day / DAYS_PER_CYCLE);
  const rest = day - cycle * DAYS_PER_CYCLE;
  // The mean length is never more than a month's error off, so one step up or down is enough.
  let month = Math.floor(rest / 30.436875);
  if ((starts[month + 1] as number) <= rest) month++;
  else if ((starts[month] as number) > rest) month--;
  return cycle * MONTHS_PER_CYCLE + month;
}

/** The first day of a month. */
export function firstDay(month: number): number {
  const cycle = Math.floor(month / MONTHS_PER_CYCLE);
  return cycle * DAYS_PER_CYCLE + (starts[month - cycle * MONTHS_PER_CYCLE] as number);
}

/** A month's kind, 0 to 27: (length - 28) * 7 + the weekday of its first day (Sunday is 0). */
export function kindOf(month: number): number {
  return kinds[month - Math.floor(month / MONTHS_PER_CYCLE) * MONTHS_PER_CYCLE] as number;
}

/** The month's number in its year, 0 to 11. */
export function monthOfYear(month: number): number {
  return ((month % 12) + 12) % 12;
}

/** The year that a month lies in. */
export function yearOf(month: number): number {
  return 1970 + Math.floor(month / 12);
}

/** The day of a date; `month` and `date` count from 1. */
export function dayOfDate(year: number, month: number, date: number): number {
  return firstDay((year - 1970) * 12 + month - 1) + date - 1;
}

export interface Wall {
  year: number;
  /** 1 to 12. */
  month: number;
  /** Day of the month, 1 to 31. */
  date: number;
  /** 0 is Sunday. */
  weekday: number;
  hour: number;
  minute: number;
  second: number;
}

/** Local seconds (a wall clock read as if it were UTC, in seconds since 1970) as a calendar's fields. */
export function wallOf(local: number): Wall {
  const day = Math.floor(local / DAY);
  const month = monthOfDay(day);
  const rest = Math.floor(local) - day * DAY;
  return {
    year: yearOf(month),
    month: monthOfYear(month) + 1,
    date: day - firstDay(month) + 1,
    weekday: (((day + 4) % 7) + 7) % 7,
    hour: Math.floor(rest / 3_600),
    minute: Math.floor(rest / 60) % 60,
    second: rest % 60,
  };
}
