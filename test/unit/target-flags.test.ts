import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { placeNote } from '#agent/cli/import-report.ts';
import { targetOf } from '#agent/cli/target-flags.ts';

describe('the workers that flags name', () => {
  const rows: [workers: string | undefined, labels: string | undefined, target: unknown][] = [
    [undefined, undefined, null],
    ['a', undefined, { labels: {}, workers: ['a'] }],
    ['a,b', 'zone=x', { workers: ['a', 'b'], labels: { zone: 'x' } }],
    [undefined, 'zone=x,zone=y,disk=', { labels: { zone: ['x', 'y'], disk: '' }, workers: [] }],
    [undefined, '__proto__=x', { labels: Object.fromEntries([['__proto__', 'x']]), workers: [] }],
  ];
  for (const [workers, labels, target] of rows)
    it(`are a target: ${workers} ${labels}`, () => assert.deepEqual(targetOf(workers, labels), target));

  for (const [workers, labels] of [
    ['', undefined],
    [',', ''],
    ['a', 'zone'],
    [undefined, '=x'],
    [undefined, 'a=b=c'],
  ])
    it(`are refused: ${workers} ${labels}`, () => assert.throws(() => targetOf(workers, labels), /expected/));
});

describe('a word on where imported jobs may run', () => {
  const rows: [target: Parameters<typeof placeNote>[0], workers: string[], said: RegExp | null][] = [
    [null, [], null],
    [null, ['a'], null],
    [null, ['a', 'b'], /each of the 2 workers .*\(a, b\)/],
    [null, ['a', 'b', 'c', 'd', 'e', 'f'], /\(a, b, c, d, e, \.\.\.\)/],
    [{ workers: ['a'] }, ['a', 'b'], null],
    [{ labels: { zone: 'x' } }, ['a', 'b'], null],
    [{ workers: ['c'] }, ['a'], /--workers c: there is no such worker yet, only a/],
    [{ workers: ['c'] }, [], null],
  ];
  for (const [target, workers, said] of rows)
    it(`${said === null ? 'is not needed' : 'is said'}: ${JSON.stringify(target)} of ${workers}`, () => {
      const note = placeNote(target, workers);
      if (said === null) assert.equal(note, null);
      else assert.match(note ?? '', said);
    });
});
