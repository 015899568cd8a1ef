import { DAY, dayOfDate, daysIn } from './calendar.ts';

/** A half-open stretch [from, to) of seconds: of the wall clock where `local`, else of UTC. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly local: boolean;
}

const point = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?)?$/i;

export const POINT =
  'a date such as 2026-12-24, or a time such as 2026-12-24T18:00 (with Z or +01:00: an instant)';

/** Whether a text means to be dates rather than an expression. */
export function looksLikeDates(text: string): boolean {
  return /^\s*\d{4}-\d/.test(text);
}

/**
 * A date, a local time, or an instant, as the stretch that it names at its own precision: a day, a minute or a second.
 * Null when it is none of these, or a date that the calendar does not have.
 */
export function parsePoint(text: string): Span | null {
  const match = point.exec(text.trim());
  if (!match) return null;
  const [year, month, date, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || date < 1 || date > daysIn(year, month)) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  const length = match[4] === undefined ? DAY : match[6] === undefined ? 60 : 1;
  let from = dayOfDate(year, month, date) * DAY + hour * 3_600 + minute * 60 + second;
  const zone = match[7];
  if (zone !== undefined && !/z/i.test(zone)) {
    const digits = zone.slice(1).replace(':', '');
    const by = Number(digits.slice(0, 2)) * 3_600 + Number(digits.slice(2)) * 60;
    from -= zone.startsWith('-') ? -by : by;
  }
  return { from, to: from + length, local: zone === undefined };
}

/** A point, or two with `..` between: both ends belong to it. */
export function parseSpan(text: string): Span | null {
  const ends = text.split('..');
  const first = parsePoint(ends[0] ?? '');
  const last = ends.length === 1 ? first : parsePoint(ends[1] ?? '');
  if (!first || !last || ends.length > 2 || first.local !== last.local || last.to <= first.from) return null;
  return { from: first.from, to: last.to, local: first.local };
}

/** Sorted and merged, fit for spanAt. */
export function merged(spans: readonly Span[]): readonly Span[] {
  const sorted: Span[] = [];
  for (const span of [...spans].sort((a, b) => a.from - b.from)) {
    const last = sorted.at(-1);
    if (last && span.from <= last.to) sorted[sorted.length - 1] = { ...last, to: Math.max(last.to, span.to) };
    else sorted.push(span);
  }
  return sorted;
}

/** The span that holds `at`, if any, of spans that `merged` made. */
export function spanAt(spans: readonly Span[], at: number): Span | undefined {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((spans[middle] as Span).from <= at) low = middle + 1;
    else high = middle;
  }
  const span = spans[low - 1];
  return span && at < span.to ? span : undefined;
}
