import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { isCi } from '../effort.ts';
import type { Mistake } from './mistakes.ts';
import { simulate } from './simulation.ts';

/** Each classic mistake must be seen within so many seeds. */
const within = 200;
/** At full length it is counted in how many of the first so many. */
const counted = isCi ? 100 : 0;

/** Declares a test for each of these mistakes, and prints at the end in how many seeds each was caught. */
export function catching(mistakes: readonly Mistake[]): void {
  const caught: string[] = [];

  describe(`a classic mistake is caught within ${within} seeds`, () => {
    after(() => console.log(caught.map((line) => `FIGURE: ${line}`).join('\n')));
    for (const { name, workers, kinds, latencyMs, shows, make } of mistakes)
      it(name, async () => {
        const how = { minutes: 1, quietMs: 80_000, workers, kinds, latencyMs };
        let seeds = 0;
        let first: number | null = null;
        for (let seed = 1; seed <= within && (first === null || seed <= counted); seed += 1) {
          const { violations } = await simulate({ ...how, seed, mistakes: make() });
          if (!violations.some(({ property }) => shows.includes(property))) continue;
          seeds += 1;
          first ??= seed;
        }
        assert.ok(first !== null, 'the checker has not seen it');
        const { violations } = await simulate({ ...how, seed: first });
        assert.deepEqual(violations, [], 'the same seed without the mistake is as it should be');
        caught.push(
          `caught in ${counted > 0 ? `${seeds} of ${Math.max(first, counted)} seeds, first in ` : ''}seed ${first}: ${name}`,
        );
      });
  });
}
