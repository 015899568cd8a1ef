import type { Entry, Kv, Range } from '#core/ports/kv.ts';

/** A request holds at most 128 operations. */
const rangesAtOnce = 100;

/** Reads many ranges in few requests; what was found, range by range. Up to 100 ranges are seen at one revision. */
export async function readMany(kv: Kv, ranges: readonly Range[], limit?: number): Promise<Entry[][]> {
  const found: Entry[][] = [];
  for (let from = 0; from < ranges.length; from += rangesAtOnce) {
    const then = ranges
      .slice(from, from + rangesAtOnce)
      .map((range) => ({ type: 'range' as const, ...range, ...(limit === undefined ? {} : { limit }) }));
    const { results } = await kv.txn({ compare: [], then });
    for (const result of results) found.push(result.type === 'range' ? result.entries : []);
  }
  return found;
}
