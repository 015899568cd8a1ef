import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';

/**
 * What nothing that a test waits for takes on a loaded machine of two cores; and far below what a test may take at all, whose end would name
 * the test and not what it waited for.
 */
export const patienceMs = 120_000;
/** How often something is looked at that tells nobody when it changes. */
const lookMs = 20;

/** For who knows that it takes longer, or wants it sooner. */
interface Patience {
  patienceMs?: number;
}

/** Looks until what it sees is well, and gives that; where nobody says what is well, until it is true. Throws as `within` does, and what `look` throws. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  well: (seen: T) => boolean = Boolean,
  patience: Patience = {},
): Promise<T> {
  let seen: T | undefined;
  let over = false;
  const looking = async () => {
    for (;;) {
      seen = await look();
      if (over || well(seen)) return seen;
      await sleep(lookMs);
    }
  };
  try {
    return await within(what, looking(), () => seen, patience);
  } finally {
    over = true;
  }
}

/** What tells by itself when it has come. Throws, where it does not come, for what it was waited, and how far it was. */
export async function within<T>(
  what: string,
  coming: Promise<T>,
  seen: () => unknown,
  { patienceMs: ms = patienceMs }: Patience = {},
): Promise<T> {
  const late = new AbortController();
  const timeUp = sleep(ms, true as const, { signal: late.signal });
  try {
    const first = await Promise.race([coming.then((value) => ({ value })), timeUp]);
    if (first !== true) return first.value;
  } finally {
    late.abort();
    await timeUp.catch(() => {});
  }
  throw new Error(`waited ${ms / 1_000} s for ${what}; what was seen last: ${inspect(seen(), { depth: 6 })}`);
}
