import { isTerminal, type Run } from '#core/model/run.ts';

/**
 * What History shall hold when `next` comes to what it holds: null, nothing changes. The first terminal record stays, a different
 * later one is kept in it as `also`; an open record never replaces a terminal one.
 */
export function keepFirst(held: Run | null, next: Run): Run | null {
  if (held === null) return next;
  if (!isTerminal(held.state)) return same(held, next) ? null : next;
  if (!isTerminal(next.state) || isSameEnd(held, next)) return null;
  const also = differences(held, next);
  return Object.keys(also).length === 0 || same(held.also, also) ? null : { ...held, also };
}

/**
 * Told once more, by an agent that was killed before it knew that the first had been written: of the start it knows what the disk says, to the
 * kernel's coarse clock, and it has another incarnation. That is no second end.
 */
function isSameEnd(held: Run, next: Run): boolean {
  const endOf = ({ state, reason, worker, exitCode, signal, endedAt, bytes, droppedBytes }: Run) => [
    ...[state, reason, worker, exitCode, signal, endedAt, bytes, droppedBytes],
  ];
  return held.incarnation !== next.incarnation && same(endOf(held), endOf(next));
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
