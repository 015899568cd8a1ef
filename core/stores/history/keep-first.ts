import { isTerminal, type Run } from '#core/model/run.ts';

/**
 * What History shall hold when `next` comes to what it holds: null, nothing changes. The first terminal record stays, a different
 * later one is kept in it as `also`; an open record never replaces a terminal one.
 */
export function keepFirst(held: Run | null, next: Run): Run | null {
  if (held === null) return next;
  if (!isTerminal(held.state)) return same(held, next) ? null : next;
  if (!isTerminal(next.state)) return null;
  const also = differences(held, next);
  return Object.keys(also).length === 0 || same(held.also, also) ? null : { ...held, also };
}

function differences(held: Run, next: Run): Partial<Run> {
  const fields = Object.keys(next) as (keyof Run)[];
  return Object.fromEntries(
    fields
      .filter((field) => field !== 'also' && !same(held[field], next[field]))
      .map((field) => [field, next[field]]),
  );
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
