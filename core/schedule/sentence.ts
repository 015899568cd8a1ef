import { wallOf } from './calendar.ts';
import type { Cron } from './cron.ts';
import { daysPhrase } from './day-phrase.ts';
import { parseExpression } from './expression.ts';
import type { Field } from './field.ts';
import { clock, dated, joined, two, valuesIn, valuesPhrase } from './phrases.ts';
import type { Schedule, Source } from './schedule.ts';
import { looksLikeDates } from './span.ts';
import type { Zone } from './zone.ts';

/** What a schedule means, as one English sentence; the same schedule gives the same sentence everywhere. */
export function sentence(schedule: Schedule): string {
  const { sources, zone, except, startAt, endAt } = schedule.plan;
  const parts = sources.map((source) => sourcePhrase(source, zone));
  const until = [startAt === null ? '' : `from ${startAt}`, endAt === null ? '' : `until ${endAt}`];
  const bounds = until.filter((text) => text !== '').join(' ');
  const out = except.length === 0 ? '' : `except ${joined(except.map(exceptPhrase))}`;
  const said = [parts.join('; and '), bounds, out, `${zone.name}${zone.name === 'UTC' ? '' : ' time'}`];
  const text = said.filter((part) => part !== '').join(', ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function sourcePhrase(source: Source, zone: Zone): string {
  if (source.type === 'every') return `every ${lengthPhrase(source.seconds)}, counted from 1970`;
  if (source.type === 'at') {
    const at = Math.floor(source.atMs / 1000);
    return `once, on ${dated(wallOf(at + zone.at(at).offset))}`;
  }
  return cronPhrase(source.cron, valuesIn(source.cron.fields.second));
}

function cronPhrase(cron: Cron, seconds: readonly number[]): string {
  const time = timePhrase(cron, seconds);
  const days = daysPhrase(cron.fields);
  // "Every minute every day" says no more than "every minute".
  if (days === 'every day' && isAll(cron.fields.hour, 24)) return time;
  // "Monday to Friday" after "from 09:00 to 17:59" wants a breath; all other days begin with a small word.
  return /^[A-Z]/.test(days) ? `${time}, ${days}` : `${time} ${days}`;
}

function exceptPhrase(text: string): string {
  if (looksLikeDates(text)) {
    const [first, last] = text.split('..');
    return last === undefined ? `on ${first}` : `from ${first?.trim()} to ${last.trim()}`;
  }
  const source = parseExpression(text, '', true);
  if (Array.isArray(source)) return text;
  const { type } = source as Source;
  if (type !== 'cron') return text.replace('@at ', 'at ');
  const { cron } = source as Extract<Source, { type: 'cron' }>;
  const { second, minute, hour } = cron.fields;
  const allDay = isAll(second, 60) && isAll(minute, 60) && isAll(hour, 24);
  // Exceptions leave out whole minutes unless they name seconds.
  return allDay ? daysPhrase(cron.fields) : cronPhrase(cron, cron.wholeMinutes ? [0] : valuesIn(second));
}

function lengthPhrase(seconds: number): string {
  const units: [number, string][] = [
    [86_400, 'day'],
    [3_600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ];
  let rest = seconds;
  const words: string[] = [];
  for (const [size, name] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0)
      words.push(count === 1 && seconds === size ? name : `${count} ${name}${count === 1 ? '' : 's'}`);
  }
  return words.join(' ');
}

function isAll(field: Field, count: number): boolean {
  return valuesIn(field).length === count;
}

/** The step of a field that repeats evenly all round, such as every 15 of 60; else 0. */
function evenStep(values: readonly number[], count: number): number {
  const step = (values[1] ?? 0) - (values[0] ?? 0);
  const even = values.length > 1 && values[0] === 0 && values.length * step === count;
  return even && values.every((value, i) => value === i * step) ? step : 0;
}

/** When in the day: "at 02:30", "every 15 minutes from 09:00 to 17:59", ... */
function timePhrase(cron: Cron, seconds: readonly number[]): string {
  const minutes = valuesIn(cron.fields.minute);
  const hours = valuesIn(cron.fields.hour);
  const one = seconds.length === 1;
  const second = seconds[0] ?? 0;
  if (seconds.length * minutes.length * hours.length <= 8) {
    const times = hours.flatMap((h) => minutes.flatMap((m) => seconds.map((s) => clock(h, m, s))));
    return `at ${joined(times)}`;
  }
  const minuteStep = evenStep(minutes, 60);
  const stretch = hourStretch(hours);
  if (one && second === 0) {
    if (minuteStep > 0)
      return `every ${minuteStep === 1 ? 'minute' : `${minuteStep} minutes`}${within(hours, stretch)}`;
    if (minutes.length === 1) return hourly(minutes[0] ?? 0, hours, stretch);
    return `at ${unit('minute', minutes)}${past(hours, stretch)}`;
  }
  const secondStep = evenStep(seconds, 60);
  const often =
    secondStep === 0
      ? `at ${unit('second', seconds)}`
      : `every ${secondStep === 1 ? 'second' : `${secondStep} seconds`}`;
  if (minutes.length === 60) {
    const each = secondStep === 0 ? ' of every minute' : '';
    return `${often}${each}${within(hours, stretch)}`;
  }
  const which = minuteStep > 1 ? `every ${ordinalStep(minuteStep)} minute` : unit('minute', minutes);
  return `${often} of ${which}${past(hours, stretch)}`;
}

function hourly(minute: number, hours: readonly number[], stretch: readonly [number, number] | null): string {
  const step = evenStep(hours, 24);
  if (step === 1) return minute === 0 ? 'every hour' : `every hour at ${two(minute)} minutes past`;
  if (step > 1) return `every ${step} hours from ${clock(0, minute, 0)}`;
  if (stretch) return `every hour from ${clock(stretch[0], minute, 0)} to ${clock(stretch[1], minute, 0)}`;
  return `at ${joined(hours.map((hour) => clock(hour, minute, 0)))}`;
}

/** First and last of hours that follow each other, over midnight or not; null where they don't. */
function hourStretch(hours: readonly number[]): readonly [number, number] | null {
  if (hours.length === 24 || hours.length === 1) return null;
  const breaks = hours.filter((hour) => !hours.includes((hour + 1) % 24));
  if (breaks.length !== 1) return null;
  const last = breaks[0] ?? 0;
  return [(last - hours.length + 25) % 24, last];
}

/** The hours of something that goes on all through them. */
function within(hours: readonly number[], stretch: readonly [number, number] | null): string {
  if (hours.length === 24) return '';
  const [first, last] = stretch ?? [hours[0] ?? 0, hours[0] ?? 0];
  if (stretch || hours.length === 1) return ` from ${two(first)}:00 to ${two(last)}:59`;
  return ` in ${unit('hour', hours)}`;
}

/** The hours of something that happens at some minutes of them. */
function past(hours: readonly number[], stretch: readonly [number, number] | null): string {
  if (hours.length === 24) return ' of every hour';
  if (stretch) return ` of every hour from ${stretch[0]} to ${stretch[1]}`;
  return ` of ${unit('hour', hours)}`;
}

function unit(name: string, values: readonly number[]): string {
  return `${name}${values.length === 1 ? '' : 's'} ${valuesPhrase(values)}`;
}

function ordinalStep(step: number): string {
  return step === 2 ? 'second' : step === 3 ? 'third' : `${step}th`;
}
