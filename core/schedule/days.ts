import { KINDS, kindOf, MONTHS_PER_CYCLE, monthOfYear, yearOf } from './calendar.ts';
import { type Field, yearsOf } from './field.ts';
import { Interned } from './interned.ts';

const shared = new Interned<Days>(20_000);

/** The days that the four day fields name; equal fields share one. */
export function daysOf(day: Field, month: Field, weekday: Field, year: Field): Days {
  const key = `${day.text} ${month.text} ${weekday.text} ${year.text} ${day.star} ${weekday.star}`;
  return shared.get(key) ?? shared.set(key, new Days(day, month, weekday, year));
}

/**
 * Which days match, as one 31-bit mask for each of the 28 kinds of months there are: whatever the day and weekday
 * fields say (L, W, # and all), it depends only on a month's length and the weekday of its first day.
 */
export class Days {
  /** The first and the last month that can match, for an expression with years; else all. */
  readonly firstMonth: number;
  readonly lastMonth: number;
  readonly #masks = new Int32Array(KINDS);
  readonly #months: number;
  readonly #years: ReadonlySet<number> | null;

  constructor(day: Field, month: Field, weekday: Field, year: Field) {
    this.#months = month.low >>> 1;
    this.#years = yearsOf(year);
    this.firstMonth = this.#years ? (Math.min(...this.#years) - 1970) * 12 : Number.NEGATIVE_INFINITY;
    this.lastMonth = this.#years ? (Math.max(...this.#years) - 1970) * 12 + 11 : Number.POSITIVE_INFINITY;
    // cron's rule: a field that begins with a star only narrows the other.
    const either = !day.star && !weekday.star;
    for (let kind = 0; kind < KINDS; kind++) {
      const length = 28 + Math.floor(kind / 7);
      const byDay = maskOfDays(day, length, kind % 7);
      const byWeekday = maskOfWeekdays(weekday, length, kind % 7);
      this.#masks[kind] = either ? byDay | byWeekday : byDay & byWeekday;
    }
  }

  /** The matching days of a month: bit 0 is the first. */
  maskOf(month: number): number {
    if (((this.#months >>> monthOfYear(month)) & 1) === 0) return 0;
    if (this.#years !== null && !this.#years.has(yearOf(month))) return 0;
    return this.#masks[kindOf(month)] as number;
  }

  /** Whether no calendar ever shows such a day. */
  never(): boolean {
    const from = Math.max(0, this.firstMonth);
    const to = Math.min(from + MONTHS_PER_CYCLE - 1, this.lastMonth);
    for (let month = from; month <= to; month++) if (this.maskOf(month) !== 0) return false;
    // Years may lie further apart than a cycle.
    if (this.#years) for (let m = to + 1; m <= this.lastMonth; m++) if (this.maskOf(m) !== 0) return false;
    return true;
  }
}

/** `first` is the weekday of the first of the month. */
function maskOfDays(field: Field, length: number, first: number): number {
  // The low word has no bit for 30 and 31; day 1 becomes bit 0.
  let mask = (field.low >>> 1) | (field.high << 29);
  const weekday = (day: number) => (first + day - 1) % 7;
  for (const item of field.items)
    if (item.type === 'last' && item.before < length) mask |= 1 << (length - item.before - 1);
    else if (item.type === 'lastWorkday') {
      const back = [2, 0, 0, 0, 0, 0, 1][weekday(length)] as number;
      mask |= 1 << (length - back - 1);
    } else if (item.type === 'nearest' && item.day <= length) {
      // The nearest Monday to Friday that does not leave the month.
      let day = item.day;
      if (weekday(day) === 6) day += day === 1 ? 2 : -1;
      else if (weekday(day) === 0) day += day === length ? -2 : 1;
      mask |= 1 << (day - 1);
    }
  return mask & (0x7fffffff >>> (31 - length));
}

function maskOfWeekdays(field: Field, length: number, first: number): number {
  let mask = 0;
  for (let day = 1; day <= length; day++) {
    const weekday = (first + day - 1) % 7;
    const hit =
      ((field.low >>> weekday) & 1) === 1 ||
      field.items.some(
        (item) =>
          (item.type === 'nth' && item.weekday === weekday && Math.ceil(day / 7) === item.nth) ||
          (item.type === 'lastOf' && item.weekday === weekday && day + 7 > length),
      );
    if (hit) mask |= 1 << (day - 1);
  }
  return mask;
}
