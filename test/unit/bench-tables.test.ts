import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { putTable, tableText } from '#infra/scripts/bench-tables.ts';
import { percentile } from '#test/bench/bench.ts';

test('a table leaves out the columns that no row fills', () => {
  const rows = [{ name: 'p50', value: '2 ms' }];
  assert.equal(tableText({ title: 'Late', rows }), '| Late | cronfleet |\n| --- | --- |\n| p50 | 2 ms |');
  const beside = [...rows, { name: 'a|b', value: '1 s', yardstick: '2 s', ratio: '0.5' }];
  assert.match(
    tableText({ title: 'Late', rows: beside }),
    /\| Late \| cronfleet \| beside \| ratio \|[\s\S]*\| a\\\|b \| 1 s \| 2 s \| 0\.5 \|$/,
  );
});

describe('the table of a bench in the README', () => {
  test('replaces the last one and touches nothing else', () => {
    const page =
      'a\n\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n<!-- bench:xy -->\nother\n<!-- /bench:xy -->\n';
    assert.equal(
      putTable(page, 'x', 'new $& $1'),
      page.replace('old', () => 'new $& $1'),
    );
  });

  test('is added at the end of the section on performance', () => {
    const page = '# T\n\n## Performance\n\nWords.\n\n## Next\n\nMore.\n';
    const once = putTable(page, 'x', 'T1');
    assert.equal(
      once,
      '# T\n\n## Performance\n\nWords.\n\n<!-- bench:x -->\nT1\n<!-- /bench:x -->\n\n## Next\n\nMore.\n',
    );
    assert.equal(putTable(once, 'x', 'T1'), once);
    assert.match(
      putTable(once, 'y', 'T2'),
      /\/bench:x -->\n\n<!-- bench:y -->\nT2\n<!-- \/bench:y -->\n\n## Next/,
    );
  });

  test('makes that section where there is none', () => {
    assert.equal(
      putTable('# T\n', 'x', 'T1'),
      '# T\n\n## Performance\n\n<!-- bench:x -->\nT1\n<!-- /bench:x -->\n',
    );
  });

  test('refuses a marker without its other half', () => {
    assert.throws(() => putTable('<!-- bench:x -->\n', 'x', 'T1'), /bench:x/);
  });
});

test('a percentile is one of the numbers', () => {
  const numbers = [5, 1, 4, 2, 3];
  assert.deepEqual(
    [0.5, 0.99, 1, 0].map((share) => percentile(numbers, share)),
    [3, 5, 5, 1],
  );
  assert.throws(() => percentile([], 0.5), /at least one/);
});
