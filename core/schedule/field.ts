import { CronExpressionParser } from 'cron-parser';
import { spread } from './hash.ts';
import { Interned } from './interned.ts';

export type FieldName = 'second' | 'minute' | 'hour' | 'day' | 'month' | 'weekday' | 'year';

/** One member of a field's list, as written; the sentence is made from these. */
export type Item =
  | { type: 'all'; step: number }
  | { type: 'values'; from: number; to: number; step: number }
  | { type: 'last'; before: number }
  | { type: 'lastWorkday' }
  | { type: 'nearest'; day: number }
  | { type: 'nth'; weekday: number; nth: number }
  | { type: 'lastOf'; weekday: number };

/** A field, read. Years are not in the bits: they are in `items` only. */
export interface Field {
  /** Canonical text. */
  readonly text: string;
  readonly items: readonly Item[];
  /** Whether the text begins with `*` or `?`: what cron calls a wildcard, whatever its step. */
  readonly star: boolean;
  /** Its plain values, see bits.ts. */
  readonly low: number;
  readonly high: number;
}

/** What is wrong with a field: `value` is the offending part. */
export interface Fault {
  value: string;
  expected: string;
}

interface Grammar {
  min: number;
  max: number;
  names: readonly string[];
  /** Place among the six fields that cron-parser takes; the year is ours alone. */
  place: number;
  expected: string;
}

const months = 'january february march april may june july august september october november december';
const weekdays = 'sunday monday tuesday wednesday thursday friday saturday';
export const LAST_YEAR = 9_999;

const grammars: Record<FieldName, Grammar> = {
  second: { min: 0, max: 59, names: [], place: 0, expected: 'a second, 0 to 59' },
  minute: { min: 0, max: 59, names: [], place: 1, expected: 'a minute, 0 to 59' },
  hour: { min: 0, max: 23, names: [], place: 2, expected: 'an hour, 0 to 23' },
  day: { min: 1, max: 31, names: [], place: 3, expected: 'a day of the month, 1 to 31, or L, L-3, 15W, LW' },
  month: { min: 1, max: 12, names: months.split(' '), place: 4, expected: 'a month, 1 to 12 or JAN to DEC' },
  weekday: {
    min: 0,
    max: 7,
    names: weekdays.split(' '),
    place: 5,
    expected: 'a weekday, 0 to 7 or SUN to SAT, or 5L, 5#2',
  },
  year: { min: 1970, max: LAST_YEAR, names: [], place: -1, expected: `a year, 1970 to ${LAST_YEAR}` },
};

const parsed = new Interned<Field>(20_000);
const expanded = new Interned<readonly number[]>(20_000);

/** Whether a field, or an expression, may mean something else to each seed. */
export function isSeeded(text: string): boolean {
  return /~|h(?![a-z])/i.test(text);
}

/**
 * Reads one field. `seed` decides `H` and `a~b`. Returns what is wrong instead of throwing, so that a caller can say
 * all mistakes at once.
 */
export function parseField(name: FieldName, text: string, seed: string): Field | Fault {
  const key = isSeeded(text) ? `${name} ${text} ${seed}` : `${name} ${text}`;
  const known = parsed.get(key);
  if (known) return known;
  const items: Item[] = [];
  let low = 0;
  let high = 0;
  for (const part of text.split(',')) {
    const item = readItem(name, part, seed);
    if ('expected' in item) return item;
    items.push(item);
    if (name === 'year') continue;
    for (const value of valuesOf(name, item))
      if (value < 30) low |= 1 << value;
      else high |= 1 << (value - 30);
  }
  const texts = new Set(items.map(textOf));
  const star = text.startsWith('*') || text.startsWith('?');
  return parsed.set(key, { text: [...texts].join(','), items, star, low, high });
}

const range = /^([a-z\d]+)(?:-([a-z\d]+))?(?:\/(\d{1,4}))?$/;
const choice = /^(?:h(?:\((\w+)-(\w+)\))?|(\w*)~(\w*))(?:\/(\d{1,4}))?$/;

function readItem(name: FieldName, part: string, seed: string): Item | Fault {
  const { min, max, names, expected } = grammars[name];
  const fault = (what = expected): Fault => ({ value: part, expected: what });
  const text = part.toLowerCase();
  const value = (token: string | undefined): number => {
    if (token === undefined) return Number.NaN;
    if (/^\d{1,4}$/.test(token))
      return Number(token) >= min && Number(token) <= max ? Number(token) : Number.NaN;
    const at = token.length < 3 ? -1 : names.findIndex((one) => one === token || one.slice(0, 3) === token);
    return at < 0 ? Number.NaN : name === 'month' ? at + 1 : at;
  };
  const stepFault = () => fault('a step of 1 or more after the slash');

  const all = /^[*?](?:\/(\d{1,4}))?$/.exec(text);
  if (all)
    return all[1] !== undefined && Number(all[1]) < 1
      ? stepFault()
      : { type: 'all', step: Number(all[1] ?? 1) };

  if (name === 'day') {
    const last = /^l(?:-(\d{1,2}))?$/.exec(text);
    if (last) {
      const before = Number(last[1] ?? 0);
      return before <= 30
        ? { type: 'last', before }
        : fault('L-1 to L-30: days before the last of the month');
    }
    if (text === 'lw' || text === 'wl') return { type: 'lastWorkday' };
    const nearest = /^(\d{1,2})w$/.exec(text);
    if (nearest) {
      const day = value(nearest[1]);
      return Number.isNaN(day) ? fault() : { type: 'nearest', day };
    }
  }
  if (name === 'weekday') {
    if (text === 'l') return fault('5L for the last Friday of the month, or 6 for Saturday');
    const nth = /^([a-z\d]+)#(\d)$/.exec(text);
    const lastOf = /^([a-z]{3,}|\d)l$/.exec(text);
    const weekday = value((nth ?? lastOf)?.[1]) % 7;
    if (nth) {
      const count = Number(nth[2]);
      if (Number.isNaN(weekday) || count < 1 || count > 5)
        return fault('1 to 5 after #, as in 5#2: the second Friday');
      return { type: 'nth', weekday, nth: count };
    }
    if (lastOf && !Number.isNaN(weekday)) return { type: 'lastOf', weekday };
  }

  const chosen = name === 'year' ? null : choice.exec(text);
  if (chosen) {
    // Months have 28 days at least, and a weekday should not be Sunday twice: so what H may choose is narrower.
    const top = name === 'day' ? 28 : name === 'weekday' ? 6 : max;
    const from = chosen[1] ?? (chosen[3] || undefined);
    const to = chosen[2] ?? (chosen[4] || undefined);
    const a = from === undefined ? min : value(from);
    const b = to === undefined ? (from === undefined ? top : Math.max(a, top)) : value(to);
    if (Number.isNaN(a) || Number.isNaN(b)) return fault();
    if (a > b) return fault('a range that ends after it begins');
    if (chosen[5] === undefined) {
      const one = a + spread(seed, name, b - a + 1);
      return { type: 'values', from: one, to: one, step: 1 };
    }
    const step = Number(chosen[5]);
    if (step < 1) return stepFault();
    const first = a + spread(seed, name, Math.min(step, b - a + 1));
    return { type: 'values', from: first, to: b, step };
  }

  const plain = range.exec(text);
  if (!plain) return fault();
  const first = value(plain[1]);
  const from = name === 'weekday' ? first % 7 : first;
  let to = plain[2] === undefined ? from : value(plain[2]);
  if (Number.isNaN(from) || Number.isNaN(to)) return fault();
  const step = Number(plain[3] ?? 1);
  if (step < 1) return stepFault();
  if (name === 'weekday' && to === 7 && from === 0) to = first === 7 ? 0 : 6;
  // `5/15` is `5-59/15`.
  if (plain[2] === undefined && plain[3] !== undefined) to = name === 'weekday' ? 6 : max;
  if (name === 'year' && from > to) return fault('a range of years that ends after it begins');
  return { type: 'values', from, to, step: from === to ? 1 : step };
}

/** The canonical text of an item. */
function textOf(item: Item): string {
  const step = 'step' in item && item.step > 1 ? `/${item.step}` : '';
  switch (item.type) {
    case 'all':
      return `*${step}`;
    case 'values':
      return item.from === item.to ? `${item.from}` : `${item.from}-${item.to}${step}`;
    case 'last':
      return item.before === 0 ? 'L' : `L-${item.before}`;
    case 'lastWorkday':
      return 'LW';
    case 'nearest':
      return `${item.day}W`;
    case 'nth':
      return `${item.weekday}#${item.nth}`;
    case 'lastOf':
      return `${item.weekday}L`;
  }
}

/** The plain values of an item: cron-parser expands what it knows, we what it does not (ranges that wrap around). */
function valuesOf(name: FieldName, item: Item): readonly number[] {
  if (item.type !== 'all' && item.type !== 'values') return [];
  const { min, place } = grammars[name];
  const max = name === 'weekday' ? 6 : grammars[name].max;
  if (item.type === 'values' && item.from > item.to) {
    const values: number[] = [];
    const span = max - min + 1;
    for (let at = item.from; at <= item.to + span; at += item.step) values.push(((at - min) % span) + min);
    return values;
  }
  // cron-parser's weekday star runs to 7, which is Sunday again and would change the meaning of a step.
  const text = item.type === 'all' && item.step > 1 ? `${min}-${max}/${item.step}` : textOf(item);
  const key = `${place} ${text}`;
  const known = expanded.get(key);
  if (known) return known;
  const fields = ['*', '*', '*', '*', '*', '*'];
  fields[place] = text;
  // A date of its own, so that the library does not read the clock.
  const { fields: read } = CronExpressionParser.parse(fields.join(' '), { currentDate: 0, tz: 'UTC' });
  const by = [read.second, read.minute, read.hour, read.dayOfMonth, read.month, read.dayOfWeek][place];
  const values = (by?.values ?? []).map((value) => (name === 'weekday' ? Number(value) % 7 : Number(value)));
  return expanded.set(key, values);
}

/** The members of a year field; null for every year. */
export function yearsOf(field: Field): ReadonlySet<number> | null {
  const years = new Set<number>();
  for (const item of field.items) {
    if (item.type === 'all' && item.step === 1) return null;
    const { from, to, step } =
      item.type === 'values' ? item : { from: 1970, to: LAST_YEAR, step: 'step' in item ? item.step : 1 };
    for (let year = from; year <= to; year += step) years.add(year);
  }
  return years;
}
