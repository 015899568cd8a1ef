import { Refusal } from '#core/model/refusal.ts';
import { parseSchedule } from '#core/schedule/parse.ts';

interface Field {
  name: string;
  min: number;
  max: number;
  names: string;
}

const fields: readonly Field[] = [
  { name: 'minute', min: 0, max: 59, names: '' },
  { name: 'hour', min: 0, max: 23, names: '' },
  { name: 'day of month', min: 1, max: 31, names: '' },
  { name: 'month', min: 1, max: 12, names: ' jan feb mar apr may jun jul aug sep oct nov dec' },
  { name: 'weekday', min: 0, max: 7, names: 'sun mon tue wed thu fri sat' },
];
/** cron's short names, in lower case as cron wants them; ours are more. */
const shortNames = /^@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)$/;

/**
 * Why cron would not read these five fields (or this short name) as our dialect does; null: both mean the same. Ours is wider
 * (L, W, #, H, ranges that wrap around, `5/15`), and a line that cron refused must not begin to run here.
 */
export function cronFault(schedule: string, timezone: string): string | null {
  if (schedule.startsWith('@')) {
    if (shortNames.test(schedule)) return null;
    return `${schedule} is no time that cron knows; @hourly, @daily, @weekly, @monthly and @yearly are`;
  }
  const texts = schedule.split(' ');
  if (texts.length !== fields.length)
    return `${JSON.stringify(schedule)} has ${texts.length} fields; cron's have five`;
  for (const [at, field] of fields.entries())
    for (const item of (texts[at] ?? '').split(',')) {
      const fault = itemFault(item, field);
      if (fault !== null) return `${field.name} ${JSON.stringify(texts[at])}: ${fault}`;
    }
  try {
    parseSchedule(schedule, { timezone });
    return null;
  } catch (error) {
    // A day that never comes, an unknown zone: our own schedule says it better.
    if (!(error instanceof Refusal)) throw error;
    return error.errors[0]?.message ?? error.message;
  }
}

/** `*`, `5`, `1-5`, `a~b` (cronie's and OpenBSD's choice at random), and a step behind all but a single value. */
function itemFault(item: string, field: Field): string | null {
  const parts = /^(?:(\*)|(\w*)(~)(\w*)|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(item);
  const expected = `${field.min} to ${field.max}${field.names === '' ? '' : ` or ${field.names.trim().replaceAll(' ', ', ')}`}`;
  if (parts === null)
    return `${JSON.stringify(item)} is not cron's; expected ${expected}, ranges and lists of them, or *`;
  const [, , low, random, high, from, to, step] = parts;
  const values = [low, high, from, to].filter((text) => text !== undefined && text !== '');
  const odd = values.find((text) => Number.isNaN(numberOf(text ?? '', field)));
  if (odd !== undefined) return `${JSON.stringify(odd)} is out of range; expected ${expected}`;
  if (step !== undefined && Number(step) === 0) return 'a step of 0 never ends; expected 1 or more';
  if (from !== undefined && to === undefined && step !== undefined)
    return `cron takes a step only behind * or a range: ${from}-${field.max}/${step}`;
  const [first, last] = random === undefined ? [from, to] : [low, high];
  if (first && last && numberOf(first, field) > numberOf(last, field))
    return `${JSON.stringify(item)} ends before it begins${field.max === 7 ? ' (a Sunday at its end is 7)' : ''}`;
  return null;
}

function numberOf(text: string, { min, max, names }: Field): number {
  if (/^\d+$/.test(text)) return Number(text) >= min && Number(text) <= max ? Number(text) : Number.NaN;
  const at = names.split(' ').indexOf(text.toLowerCase());
  return at < 0 || text === '' ? Number.NaN : at;
}
