import { atOrAfter, atOrBefore, has } from './bits.ts';
import { DAY, firstDay, monthOfDay } from './calendar.ts';
import { type Days, daysOf } from './days.ts';
import type { Field, FieldName } from './field.ts';
import type { Walls } from './walls.ts';

export type Fields = Readonly<Record<FieldName, Field>>;

/** The local times that one expression of fields names. Immutable; its fields are shared with its equals. */
export class Cron implements Walls {
  readonly fields: Fields;
  /** Whether the minute or the hour field begins with a star (DESIGN.md section 3). */
  readonly wildcard: boolean;
  /** Whether every second of its minutes is named. */
  readonly wholeMinutes: boolean;
  readonly days: Days;
  readonly regularFrom: number;
  readonly #second: Field;
  readonly #minute: Field;
  readonly #hours: number;
  readonly #first: number;
  readonly #last: number;

  constructor(fields: Fields) {
    this.fields = fields;
    this.wildcard = fields.minute.star || fields.hour.star;
    this.wholeMinutes = (fields.second.low & fields.second.high) === 0x3fffffff;
    this.days = daysOf(fields.day, fields.month, fields.weekday, fields.year);
    // A finite list of years repeats nothing: there the search must go on to the last of them.
    const { lastMonth } = this.days;
    this.regularFrom = Number.isFinite(lastMonth) ? firstDay(lastMonth + 1) * DAY : 0;
    this.#second = fields.second;
    this.#minute = fields.minute;
    this.#hours = fields.hour.low;
    this.#first = this.nextInDay(0);
    this.#last = this.prevInDay(DAY - 1);
  }

  /** Canonical text: five fields; seconds and years only where they say something. */
  get text(): string {
    const { second, minute, hour, day, month, weekday, year } = this.fields;
    const words = [minute, hour, day, month, weekday].map((field) => field.text);
    if (second.text !== '0' || year.text !== '*') words.unshift(second.text);
    if (year.text !== '*') words.push(year.text);
    return words.join(' ');
  }

  next(from: number, before: number): number {
    let day = Math.floor(from / DAY);
    let month = monthOfDay(day);
    let start = firstDay(month);
    const mask = this.days.maskOf(month);
    if (((mask >>> (day - start)) & 1) === 1) {
      const found = this.nextInDay(from - day * DAY);
      if (found >= 0) return this.#before(day * DAY + found, before);
    }
    const bit = day - start + 1;
    let rest = bit > 30 ? 0 : mask & (-1 << bit);
    const end = Math.min(
      before / DAY,
      this.days.lastMonth === Infinity ? Infinity : firstDay(this.days.lastMonth + 1),
    );
    while (rest === 0) {
      month = Math.max(month + 1, this.days.firstMonth);
      start = firstDay(month);
      if (start >= end) return Number.POSITIVE_INFINITY;
      rest = this.days.maskOf(month);
    }
    day = start + 31 - Math.clz32(rest & -rest);
    return this.#before(day * DAY + this.#first, before);
  }

  prev(to: number, from: number): number {
    let day = Math.floor(to / DAY);
    let month = monthOfDay(day);
    let start = firstDay(month);
    const mask = this.days.maskOf(month);
    if (((mask >>> (day - start)) & 1) === 1) {
      const found = this.prevInDay(to - day * DAY);
      if (found >= 0) return this.#notBefore(day * DAY + found, from);
    }
    let rest = mask & ((1 << (day - start)) - 1);
    const end = Math.max(
      from / DAY,
      this.days.firstMonth === -Infinity ? -Infinity : firstDay(this.days.firstMonth),
    );
    while (rest === 0) {
      if (start <= end) return Number.NEGATIVE_INFINITY;
      month = Math.min(month - 1, this.days.lastMonth);
      start = firstDay(month);
      rest = this.days.maskOf(month);
    }
    day = start + 31 - Math.clz32(rest);
    return this.#notBefore(day * DAY + this.#last, from);
  }

  leftOut(): boolean {
    return false;
  }

  /** Whether a day counts among the expression's. */
  onDay(day: number): boolean {
    const month = monthOfDay(day);
    return ((this.days.maskOf(month) >>> (day - firstDay(month))) & 1) === 1;
  }

  /** Whether a second of the day (0 to 86399) is one of the expression's, whatever the day. */
  atTime(second: number): boolean {
    return (
      ((this.#hours >>> Math.floor(second / 3_600)) & 1) === 1 &&
      has(this.#minute.low, this.#minute.high, Math.floor(second / 60) % 60) &&
      has(this.#second.low, this.#second.high, second % 60)
    );
  }

  /** The first time of day >= `from` (0 to 86400), or -1. */
  nextInDay(from: number): number {
    let hour = Math.floor(from / 3_600);
    let minute = Math.floor(from / 60) - hour * 60;
    if (hour < 24 && ((this.#hours >>> hour) & 1) === 1) {
      if (has(this.#minute.low, this.#minute.high, minute)) {
        const second = atOrAfter(this.#second.low, this.#second.high, from % 60);
        if (second >= 0) return hour * 3_600 + minute * 60 + second;
      }
      minute = atOrAfter(this.#minute.low, this.#minute.high, minute + 1);
      if (minute >= 0) return hour * 3_600 + minute * 60 + atOrAfter(this.#second.low, this.#second.high, 0);
    }
    hour = atOrAfter(this.#hours, 0, hour + 1);
    if (hour < 0) return -1;
    minute = atOrAfter(this.#minute.low, this.#minute.high, 0);
    return hour * 3_600 + minute * 60 + atOrAfter(this.#second.low, this.#second.high, 0);
  }

  /** The last time of day <= `to` (0 to 86399), or -1. */
  prevInDay(to: number): number {
    let hour = Math.floor(to / 3_600);
    let minute = Math.floor(to / 60) - hour * 60;
    if (((this.#hours >>> hour) & 1) === 1) {
      if (has(this.#minute.low, this.#minute.high, minute)) {
        const second = atOrBefore(this.#second.low, this.#second.high, to % 60);
        if (second >= 0) return hour * 3_600 + minute * 60 + second;
      }
      minute = atOrBefore(this.#minute.low, this.#minute.high, minute - 1);
      if (minute >= 0)
        return hour * 3_600 + minute * 60 + atOrBefore(this.#second.low, this.#second.high, 59);
    }
    hour = atOrBefore(this.#hours, 0, hour - 1);
    if (hour < 0) return -1;
    minute = atOrBefore(this.#minute.low, this.#minute.high, 59);
    return hour * 3_600 + minute * 60 + atOrBefore(this.#second.low, this.#second.high, 59);
  }

  #before(found: number, before: number): number {
    return found < before ? found : Number.POSITIVE_INFINITY;
  }

  #notBefore(found: number, from: number): number {
    return found >= from ? found : Number.NEGATIVE_INFINITY;
  }
}
