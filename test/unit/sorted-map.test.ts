import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SortedMap } from '#core/stores/kv/embedded/sorted-map.ts';

/** Enough keys for many blocks, in one of three orders of coming. */
const keys = fc
  .tuple(fc.constantFrom('up', 'down', 'mixed'), fc.integer({ min: 0, max: 3_000 }))
  .map(([order, count]) => {
    const made = Array.from(
      { length: count },
      (_, n) => `k${String(order === 'mixed' ? (n * 7_919) % 10_007 : n).padStart(5, '0')}`,
    );
    return order === 'down' ? made.reverse() : made;
  });
const bound = fc.integer({ min: 0, max: 10_100 }).map((n) => `k${String(n).padStart(5, '0')}`);

describe('A sorted map', () => {
  it('scans and counts any range as a sorted list would, while keys come and go', () => {
    fc.assert(
      fc.property(
        keys,
        fc.nat({ max: 4 }),
        fc.array(fc.tuple(bound, bound), { maxLength: 10 }),
        (made, dropEvery, ranges) => {
          const map = new SortedMap<string>();
          const plain = new Set<string>();
          for (const key of made) {
            map.set(key, key);
            plain.add(key);
          }
          for (const [at, key] of made.entries()) {
            if (dropEvery === 0 || at % dropEvery !== 0) continue;
            map.delete(key);
            map.delete(key);
            plain.delete(key);
          }
          const sorted = [...plain].sort();
          assert.equal(map.size, sorted.length);
          for (const [from, end] of [...ranges, ['k', 'l'], ['a', 'b'], ['x', 'z']] as const) {
            const expected = sorted.filter((key) => from <= key && key < end);
            const found: string[] = [];
            map.scan(from, end, (key) => found.push(key) > 0);
            assert.deepEqual(found, expected);
            assert.equal(map.count(from, end), expected.length);
            const first: string[] = [];
            map.scan(from, end, (key) => first.push(key) < 3);
            assert.deepEqual(first, expected.slice(0, 3));
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
