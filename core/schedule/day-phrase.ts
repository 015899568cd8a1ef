import type { Fields } from './cron.ts';
import { type Field, yearsOf } from './field.ts';
import { joined, monthNames, ordinal, valuesIn, valuesPhrase, weekdayNames } from './phrases.ts';

/** On which days: "every day", "on the 1st of every month", "on Monday to Friday in May", ... */
export function daysPhrase(fields: Fields): string {
  const { day, month, weekday, year } = fields;
  const months = valuesIn(month);
  const named = valuesPhrase(months, (value) => monthNames[value - 1] ?? '');
  const years = yearsOf(year);
  const inYears = years === null ? '' : ` in ${valuesPhrase([...years].sort((a, b) => a - b))}`;
  const of = months.length === 12 ? 'of every month' : `of ${named}`;
  const within = `${months.length === 12 ? '' : ` in ${named}`}${inYears}`;
  const anyDay = isAny(day, 31);
  const anyWeekday = isAny(weekday, 7);
  if (anyDay && anyWeekday) return `every day${within}`;
  if (anyWeekday) return `on ${dates(day)} ${of}${inYears}`;
  if (anyDay) return `${weekdays(weekday)}${within}`;
  // cron's rule: without a star either is enough.
  if (!day.star && !weekday.star) return `on ${dates(day)} ${of} and also ${weekdays(weekday)}${within}`;
  return `on ${dates(day)} ${of}${inYears}, if that is ${joined(weekdayParts(weekday, 'a '), 'or')}`;
}

/** Whether a field leaves every day in. Without a star `1-31` beside a weekday still matches every day, as `either`. */
function isAny(field: Field, count: number): boolean {
  return field.star && valuesIn(field).length === count;
}

function dates(field: Field): string {
  const values = valuesIn(field);
  const [only] = field.items;
  if (field.items.length === 1 && only?.type === 'all' && only.step > 1)
    return `every ${ordinal(only.step)} day from the 1st`;
  const parts = values.length === 0 ? [] : [`the ${valuesPhrase(values, ordinal)}`];
  for (const item of field.items)
    if (item.type === 'last' && item.before === 0) parts.push('the last day');
    else if (item.type === 'last')
      parts.push(`the day ${item.before} day${item.before === 1 ? '' : 's'} before the last`);
    else if (item.type === 'lastWorkday') parts.push('the last working day (Monday to Friday)');
    else if (item.type === 'nearest') parts.push(`the working day nearest the ${ordinal(item.day)}`);
  return joined([...new Set(parts)]);
}

function weekdays(field: Field): string {
  const values = valuesIn(field);
  if (values.length === 7) return 'every day';
  const parts = weekdayParts(field, 'every ');
  return parts.length === 1 && parts[0]?.includes(' to ') ? parts[0] : `on ${joined(parts)}`;
}

function weekdayParts(field: Field, each: string): string[] {
  const values = valuesIn(field);
  // Monday first, so that the weekend stays together.
  const ordered = values.map((value) => (value + 6) % 7).sort((a, b) => a - b);
  const name = (value: number) => weekdayNames[(value + 1) % 7] ?? '';
  const plain = values.length === 0 ? [] : [valuesPhrase(ordered, name)];
  const parts = values.length === 1 ? plain.map((part) => `${each}${part}`) : plain;
  for (const item of field.items)
    if (item.type === 'nth')
      parts.push(`the ${nth[item.nth] ?? ''} ${weekdayNames[item.weekday] ?? ''} of the month`);
    else if (item.type === 'lastOf') parts.push(`the last ${weekdayNames[item.weekday] ?? ''} of the month`);
  return [...new Set(parts)];
}

const nth = ['', 'first', 'second', 'third', 'fourth', 'fifth'];
