import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { systemClock } from '#core/ports/system-clock.ts';
import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { chunk, run } from '#test/contract/history-suite.ts';
import { mongoForTests } from './server.ts';

const server = await mongoForTests();
const { url, name } = server.database();
const writers = Array.from({ length: 4 }, () => mongoHistory({ url, clock: systemClock() }));
after(() => Promise.all(writers.map((each) => each.close())));

describe('Several writers of one history', () => {
  it('make its layout at once, and only once', async () => {
    await Promise.all(writers.map((each, at) => each.saveRuns([run(at)])));
    assert.equal((await writers[0]?.runs({ limit: 9 }))?.items.length, writers.length);
    const { length } = await server.client.db(name).collection('runs').indexes();
    assert.equal(length, 9);
  });

  it('agree on the first end of each run, whoever comes with which', async () => {
    const runs = Array.from({ length: 10 }, (_, at) => run(100 + at));
    await writers[0]?.saveRuns(runs);
    const ends = writers.map((_, by) =>
      runs.map((each) => ({ ...each, state: 'failed' as const, exitCode: by })),
    );
    await Promise.all(writers.map((each, by) => each.saveRuns(ends[by] ?? [])));
    const firsts = await Promise.all(runs.map(({ id }) => writers[1]?.run(id)));
    for (const first of firsts) {
      assert.equal(first?.state, 'failed');
      assert.notEqual(first.also?.exitCode, undefined, 'a later end is not beside the first');
      assert.notEqual(first.also?.exitCode, first.exitCode);
    }
    // And whatever comes again leaves each first where it is.
    await Promise.all(writers.map((each, by) => each.saveRuns([...(ends[by] ?? []), ...runs])));
    const later = await Promise.all(runs.map(({ id }) => writers[2]?.run(id)));
    assert.deepEqual(
      later.map((each) => each?.exitCode),
      firsts.map((each) => each?.exitCode),
    );
  });

  it('store a piece of output once', async () => {
    const pieces = Array.from({ length: 20 }, (_, seq) => chunk('r', seq, seq, 'x'));
    await Promise.all(writers.map((each) => each.saveLogs(pieces)));
    assert.equal(await server.client.db(name).collection('logs').countDocuments(), 20);
  });
});
