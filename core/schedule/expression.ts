import { durationMs, isDuration } from '#core/model/duration.ts';
import { Cron } from './cron.ts';
import { type Fault, type Field, type FieldName, isSeeded, parseField } from './field.ts';
import { Interned } from './interned.ts';
import type { Source } from './schedule.ts';
import { parsePoint } from './span.ts';
import { END } from './wall-clock.ts';

/** The short names, and what they stand for. */
export const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
  '@minutely': '* * * * *',
  '@secondly': '* * * * * *',
  '@weekdays': '0 0 * * 1-5',
  '@weekends': '0 0 * * 0,6',
};

export interface ExpressionFault extends Fault {
  /** The field that is wrong, where it is one. */
  field?: FieldName;
}

const SHAPE = '5 fields (minute hour day month weekday), 6 with seconds first, or 7 with the year last';
const LONGEST = 1_000;
const names: readonly FieldName[] = ['second', 'minute', 'hour', 'day', 'month', 'weekday', 'year'];
const read = new Interned<Source>(20_000);

/**
 * Reads one expression. `wholeMinutes` is for exceptions: five fields then name all seconds of their minutes, not the
 * first alone.
 */
export function parseExpression(
  text: string,
  seed: string,
  wholeMinutes = false,
): Source | ExpressionFault[] {
  if (text.length > LONGEST)
    return [{ value: `${text.slice(0, 40)}...`, expected: `at most ${LONGEST} characters` }];
  const known = read.get(text);
  if (known && !wholeMinutes) return known;
  const words = text.trim().split(/\s+/);
  const word = (words[0] ?? '').toLowerCase();
  if (word === '@every') return every(words, text);
  if (word === '@at') return at(words, text);
  if (word.startsWith('@')) {
    const meant = words.length === 1 ? macros[word] : undefined;
    if (meant !== undefined) return parseExpression(meant, seed, wholeMinutes);
    const expected = `@every DURATION, @at TIME or one of ${Object.keys(macros).join(', ')}`;
    return [
      {
        value: text,
        expected: word === '@reboot' ? `an expression of time: a reboot is none; ${expected}` : expected,
      },
    ];
  }
  if (words.length < 5 || words.length > 7 || word === '') return [{ value: text, expected: SHAPE }];
  const seconds = words.length === 5 ? (wholeMinutes ? '*' : '0') : '';
  const all = [...(seconds === '' ? [] : [seconds]), ...words, ...(words.length === 7 ? [] : ['*'])];
  const faults: ExpressionFault[] = [];
  const fields: Partial<Record<FieldName, Field>> = {};
  names.forEach((name, place) => {
    const field = parseField(name, all[place] ?? '', seed || words.join(' '));
    if ('expected' in field) faults.push({ ...field, field: name });
    else fields[name] = field;
  });
  if (faults.length > 0) return faults;
  const cron = new Cron(fields as Record<FieldName, Field>);
  if (cron.days.never()) {
    const { day, month, weekday, year } = cron.fields;
    const value = [day, month, weekday, ...(year.text === '*' ? [] : [year])]
      .map((field) => field.text)
      .join(' ');
    return [{ field: 'day', value, expected: 'a day that some month has: this one never comes' }];
  }
  const source: Source = { type: 'cron', cron };
  return wholeMinutes || isSeeded(text) ? source : read.set(text, source);
}

function every(words: readonly string[], text: string): Source | ExpressionFault[] {
  const length = words.slice(1).join('').toLowerCase();
  const ms = isDuration(length) ? durationMs(length) : 0;
  if (ms < 1_000 || ms % 1_000 !== 0 || ms > END * 1000)
    return [
      {
        value: text,
        expected: '@every and a duration of whole seconds, at least 1s, such as @every 90s or @every 1h30m',
      },
    ];
  return { type: 'every', seconds: ms / 1_000 };
}

function at(words: readonly string[], text: string): Source | ExpressionFault[] {
  const time = words.slice(1).join('T');
  const point = parsePoint(time);
  const atMs = point && !point.local ? Date.parse(time.toUpperCase()) : Number.NaN;
  if (!(atMs >= 0 && atMs < END * 1000))
    return [
      { value: text, expected: '@at and an instant with its offset, such as @at 2027-01-01T00:00:00+01:00' },
    ];
  return { type: 'at', atMs };
}
