import * as v from 'valibot';
import { durationMs, isDuration } from '#core/model/duration.ts';
import { namePattern } from '#core/model/ids.ts';
import { runStates, triggers } from '#core/model/run.ts';

/** Parts that the routes' schemas share. */
export const name = v.pipe(
  v.string(),
  v.regex(namePattern, 'expected 1 to 64 of [A-Za-z0-9._-], beginning with a letter, digit or _'),
);
export const state = v.picklist(runStates);
export const trigger = v.picklist(triggers);

/** A job as one text: `name` or `group/name`. */
export const jobText = v.pipe(
  v.string(),
  v.check(
    (text) => text.split('/').length <= 2 && text.split('/').every((part) => namePattern.test(part)),
    'expected NAME or GROUP/NAME, each 1 to 64 of [A-Za-z0-9._-] beginning with a letter, digit or _',
  ),
);

/** A time in any ISO 8601 form that names its offset, as UTC ms. */
export const time = v.pipe(
  v.string(),
  v.regex(
    /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)$/,
    'expected a time such as 2026-11-22T16:35:00Z',
  ),
  // Date.parse takes 30 February for 2 March.
  v.check((text) => isDay(text.slice(0, 10)), 'expected a day that exists'),
  // Date.parse knows no offset of hours alone, which ISO 8601 has.
  v.transform((text) =>
    Date.parse(text.replace(/[+-]\d\d$/, (offset) => (text.includes('T') ? `${offset}:00` : offset))),
  ),
  v.check((ms) => !Number.isNaN(ms), 'expected a time that exists'),
);

/** Whether a date exists; what is no date at all has been told of already. */
function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return true;
  const midnight = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(text);
}

/** A short text for people, shown in lists and logs: one line of whole characters. */
export const words = (min: number, max: number) =>
  v.pipe(
    v.string(),
    v.minLength(min),
    v.maxLength(max),
    v.check(
      (text) => text.isWellFormed() && !/\p{Cc}/u.test(text),
      'expected text without control characters',
    ),
  );

/** A number of the query's. */
export const number = (min: number, max: number) =>
  v.pipe(
    v.string(),
    v.regex(/^\d{1,16}$/, `expected a whole number from ${min} to ${max}`),
    v.transform(Number),
    v.minValue(min, `expected a whole number from ${min} to ${max}`),
    v.maxValue(max, `expected a whole number from ${min} to ${max}`),
  );

export const flag = v.pipe(
  v.picklist(['true', 'false', '1', '0', ''], 'expected true or false'),
  v.transform((text) => text !== 'false' && text !== '0'),
);
/** A duration's text within bounds, which `expected` says. */
export const duration = (minMs: number, maxMs: number, expected: string) =>
  v.pipe(
    v.string(),
    v.check((text) => isDuration(text) && durationMs(text) >= minMs && durationMs(text) <= maxMs, expected),
  );
export const paging = {
  limit: v.optional(number(1, 500), '100'),
  cursor: v.optional(v.pipe(v.string(), v.maxLength(4_096))),
};

/** Without what is undefined: a field that is not there is not a field without a value. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never;
}
