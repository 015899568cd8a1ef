import type { Wall } from './calendar.ts';
import type { Field } from './field.ts';

export const monthNames = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const;
export const weekdayNames = [
  'Sunday',
  'Monday',
  'Tuesday',
  'Wednesday',
  'Thursday',
  'Friday',
  'Saturday',
] as const;

/** "a", "a and b", "a, b and c". */
export function joined(parts: readonly string[], last = 'and'): string {
  if (parts.length < 2) return parts[0] ?? '';
  return `${parts.slice(0, -1).join(', ')} ${last} ${parts.at(-1)}`;
}

export function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** `02:30`, with seconds where there are any. */
export function clock(hour: number, minute: number, second: number): string {
  return `${two(hour)}:${two(minute)}${second === 0 ? '' : `:${two(second)}`}`;
}

/** `2027-03-28 02:30`. */
export function dated(wall: Wall): string {
  return `${day(wall)} ${clock(wall.hour, wall.minute, wall.second)}`;
}

/** `2027-03-28`. */
export function day(wall: Wall): string {
  return `${String(wall.year).padStart(4, '0')}-${two(wall.month)}-${two(wall.date)}`;
}

/** The plain values of a field, ascending. */
export function valuesIn(field: Field): readonly number[] {
  const values: number[] = [];
  for (let value = 0; value < 60; value++)
    if (((value < 30 ? field.low >>> value : field.high >>> (value - 30)) & 1) === 1) values.push(value);
  return values;
}

/** Ascending values with three or more in a row drawn together: "1, 3 to 6 and 9". */
export function valuesPhrase(values: readonly number[], name: (value: number) => string = String): string {
  const parts: string[] = [];
  for (let i = 0; i < values.length; ) {
    let end = i;
    while (values[end + 1] === (values[end] ?? 0) + 1) end++;
    const first = name(values[i] ?? 0);
    if (end - i >= 2) parts.push(`${first} to ${name(values[end] ?? 0)}`);
    else for (let at = i; at <= end; at++) parts.push(name(values[at] ?? 0));
    i = end + 1;
  }
  return joined(parts);
}

/** 1st, 2nd, 3rd, 11th, 21st. */
export function ordinal(value: number): string {
  const teen = value % 100 > 10 && value % 100 < 14;
  const ending = teen ? 'th' : (['th', 'st', 'nd', 'rd'][value % 10] ?? 'th');
  return `${value}${ending}`;
}
