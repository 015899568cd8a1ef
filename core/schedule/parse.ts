import { type Mistake, Refusal } from '#core/model/refusal.ts';
import type { Cron } from './cron.ts';
import { At, Every } from './every.ts';
import { Exceptions, MOST_EXPRESSIONS, Sieve } from './exceptions.ts';
import { parseExpression } from './expression.ts';
import { isSeeded } from './field.ts';
import { Interned } from './interned.ts';
import { type Dst, Schedule, type Source, textOf } from './schedule.ts';
import { looksLikeDates, merged, POINT, parsePoint, parseSpan, type Span } from './span.ts';
import { type Part, WallClock } from './wall-clock.ts';
import { type Zone, zoneNamed } from './zone.ts';

export interface ScheduleOptions {
  /** IANA name; UTC unless said. */
  timezone?: string | undefined;
  /** What a clock change under three hours does (DESIGN.md section 3); `vixie` unless said. */
  dst?: Dst | undefined;
  /** Decides `H` and `a~b`: the job's `group/name`; the text unless said. */
  seed?: string | undefined;
  /** Left out: expressions (five fields name whole minutes), dates, times, and two of them with `..` between. */
  except?: readonly string[] | undefined;
  /** First and last day, or moment, both included. */
  startAt?: string | null | undefined;
  endAt?: string | null | undefined;
}

/**
 * Reads a schedule: one expression, or several whose instants are united. Throws a Refusal `schedule_invalid` that
 * lists every mistake by path (`schedule`, `schedule.1`, `timezone`, `except.0`, ...), value and what was expected.
 */
export function parseSchedule(text: string | readonly string[], options: ScheduleOptions = {}): Schedule {
  const key = keyOf(text, options);
  const known = key === null ? undefined : shared.get(key);
  if (known) return known;
  const schedule = read(text, options);
  return key === null ? schedule : shared.set(key, schedule);
}

/** Of a fleet's many jobs most run at one of few times. */
const shared = new Interned<Schedule>(20_000);
const LONGEST_KEY = 300;

/** What a schedule depends on; null where nobody else is likely to have the same, since its seed is among it or it is long. */
function keyOf(text: string | readonly string[], options: ScheduleOptions): string | null {
  const { timezone, dst, except = [], startAt, endAt } = options;
  const texts = typeof text === 'string' ? [text] : text;
  if (texts.some(isSeeded) || except.some(isSeeded)) return null;
  const key = JSON.stringify([texts, timezone, dst, except, startAt, endAt]);
  return key.length > LONGEST_KEY ? null : key;
}

function read(text: string | readonly string[], options: ScheduleOptions): Schedule {
  const mistakes: Mistake[] = [];
  const note = (path: string, value: string, expected: string, where = '') =>
    mistakes.push({
      path,
      message: `${path}: ${where}${JSON.stringify(value)} is not valid; expected ${expected}`,
      value,
      expected,
    });
  const sourceOf = (path: string, value: string, wholeMinutes: boolean): Source | null => {
    const source = parseExpression(value, options.seed ?? '', wholeMinutes);
    if (!Array.isArray(source)) return source as Source;
    for (const { field, value: part, expected } of source)
      note(path, part, expected, field ? `${field} ` : '');
    return null;
  };

  const texts = typeof text === 'string' ? [text] : text;
  if (texts.length === 0) note('schedule', '', 'at least one expression');
  const sources: Source[] = [];
  texts.forEach((one, i) => {
    const source = sourceOf(typeof text === 'string' ? 'schedule' : `schedule.${i}`, one, false);
    if (source) sources.push(source);
  });

  const name = options.timezone ?? 'UTC';
  const zone = zoneNamed(name);
  if (zone === null) note('timezone', name, 'a time zone such as Europe/Berlin or UTC');
  const dst = options.dst ?? 'vixie';
  if (!['vixie', 'skip', 'both'].includes(dst)) note('dst', dst, 'vixie, skip or both');

  const spans: Span[] = [];
  const crons: Cron[] = [];
  const except = (options.except ?? []).map((one, i) => {
    if (looksLikeDates(one)) {
      const span = parseSpan(one);
      if (span) spans.push(span);
      else note(`except.${i}`, one, `${POINT}, or two of a kind as FIRST..LAST`);
      return one.trim();
    }
    const source = sourceOf(`except.${i}`, one, true);
    if (source?.type === 'cron') crons.push(source.cron);
    else if (source?.type === 'at')
      spans.push({ from: source.atMs / 1000, to: (source.atMs + 1) / 1000, local: false });
    else if (source) note(`except.${i}`, one, 'an expression of fields, or dates');
    return source ? textOf(source) : one;
  });
  if (crons.length > MOST_EXPRESSIONS)
    note(
      'except',
      `${crons.length} expressions`,
      `at most ${MOST_EXPRESSIONS} expressions; dates are not limited`,
    );

  const startAt = options.startAt ?? null;
  const start = startAt === null ? null : parsePoint(startAt);
  if (start) spans.push({ ...start, from: Number.NEGATIVE_INFINITY, to: start.from });
  else if (startAt !== null) note('startAt', startAt, POINT);
  const endAt = options.endAt ?? null;
  const end = endAt === null ? null : parsePoint(endAt);
  if (end) spans.push({ ...end, from: end.to, to: Number.POSITIVE_INFINITY });
  else if (endAt !== null) note('endAt', endAt, POINT);
  if (start && end && start.local === end.local && end.to <= start.from)
    note('endAt', endAt ?? '', `a time after startAt, which is ${startAt}`);

  if (mistakes.length > 0 || zone === null) throw refusal(mistakes);
  const local = spans.filter((span) => span.local);
  const out = local.length + crons.length === 0 ? null : new Exceptions(crons, local);
  const utc = spans.length === local.length ? NO_SPANS : merged(spans.filter((span) => !span.local));
  const schedule = new Schedule(
    { sources, zone, dst, except: except.length === 0 ? NO_TEXTS : except, startAt, endAt },
    sources.map((source) => partOf(source, zone, dst, out)),
    utc,
  );
  if (schedule.next(-1) === null) {
    const whole = spans.length + crons.length > 0;
    note(
      'schedule',
      schedule.normal,
      whole ? 'an instant that except, startAt and endAt leave' : 'a time that comes',
    );
    throw refusal(mistakes);
  }
  return schedule;
}

const NO_SPANS: readonly Span[] = [];
const NO_TEXTS: readonly string[] = [];

function partOf(source: Source, zone: Zone, dst: Dst, out: Exceptions | null): Part {
  if (source.type === 'every') return new Every(source.seconds, zone, out);
  if (source.type === 'at') {
    const at = source.atMs / 1000;
    return out?.has(at + zone.at(at).offset) ? NOTHING : new At(at);
  }
  const literal = dst === 'both' || (dst === 'vixie' && source.cron.wildcard);
  const walls = out === null ? source.cron : new Sieve(source.cron, out);
  return new WallClock(walls, zone, literal, dst === 'vixie' && !literal);
}

const NOTHING: Part = { next: () => Number.POSITIVE_INFINITY, prev: () => Number.NEGATIVE_INFINITY };

function refusal(errors: readonly Mistake[]): Refusal {
  return new Refusal('schedule_invalid', errors.map((error) => error.message).join('; '), { errors });
}
