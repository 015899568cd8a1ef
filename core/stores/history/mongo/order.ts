import { decodeCursor } from '../cursor.ts';

/**
 * A time as the beginning of an `order`, the text that lists are sorted by: the order of whatever is of then or later is not below it.
 */
export function orderFrom(ms: number): string {
  return String(Math.max(0, Math.floor(ms))).padStart(16, '0');
}

/** What a page of a list takes: from <= time < to, and behind the last item of the page before. */
export function orderBetween(
  from: number | undefined,
  to: number | undefined,
  cursor: string | undefined,
): { $gte: string; $lt?: string } {
  const ends: string[] = [];
  if (to !== undefined) ends.push(orderFrom(to));
  if (cursor !== undefined) ends.push(String(decodeCursor(cursor, ['string'])[0]));
  const [end] = ends.sort();
  return { $gte: orderFrom(from ?? 0), ...(end === undefined ? {} : { $lt: end }) };
}
