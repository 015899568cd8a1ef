import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instantText } from '#core/model/ids.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import type { History } from '#core/ports/history.ts';
import { sqliteHistory } from '#core/stores/history/sqlite/sqlite-history.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';

const minute = 60_000;
const t0 = Date.UTC(2026, 10, 22, 12);

function run(at: number, more: Partial<Run> = {}): Run {
  const instant = t0 + at * minute;
  const id = `default~job~${instantText(instant)}~${more.attempt ?? 1}`;
  return blankRun({
    id,
    group: 'default',
    name: 'job',
    state: 'running',
    instant,
    plannedAt: instant,
    startedAt: instant + 3,
    ...more,
  });
}

function historySuite(name: string, make: (clock: VirtualClock) => History): void {
  describe(`History: ${name}`, () => {
    const promise = (what: string, test: (history: History, clock: VirtualClock) => Promise<void>) =>
      it(what, async () => {
        const clock = new VirtualClock();
        const history = make(clock);
        await test(history, clock);
        await history.close();
      });

    promise('keeps the first terminal record, and a later one beside it', async (history) => {
      const open = run(1);
      await history.saveRuns([open]);
      await history.saveRuns([{ ...open, state: 'lost', endedAt: t0 }]);
      await history.saveRuns([{ ...open, state: 'succeeded', exitCode: 0, endedAt: t0 + 9 }]);
      await history.saveRuns([open]);
      const kept = await history.run(open.id);
      assert.deepEqual([kept?.state, kept?.also?.state, kept?.also?.exitCode], ['lost', 'succeeded', 0]);
    });
    promise('is not changed by the same record twice', async (history) => {
      const ended = run(1, { state: 'failed', endedAt: t0 });
      await history.saveRuns([ended, ended]);
      await history.saveRuns([ended]);
      assert.deepEqual(await history.run(ended.id), ended);
    });
    promise('lists newest first, page by page, stable while runs are added', async (history) => {
      await history.saveRuns(Array.from({ length: 7 }, (_, at) => run(at)));
      const first = await history.runs({ limit: 3 });
      await history.saveRuns([run(99)]);
      const second = await history.runs({ limit: 3, cursor: first.next ?? '' });
      const third = await history.runs({ limit: 3, cursor: second.next ?? '' });
      const at = (items: Run[]) => items.map(({ instant }) => ((instant ?? 0) - t0) / minute);
      assert.deepEqual(
        [at(first.items), at(second.items), at(third.items), third.next],
        [[6, 5, 4], [3, 2, 1], [0], null],
      );
    });
    promise('finds by job, state, worker, trigger, time and groups', async (history) => {
      await history.saveRuns([
        run(1, { worker: 'a', state: 'failed', endedAt: t0 }),
        run(2, { worker: 'b', trigger: 'retry' }),
        { ...run(3), id: 'g~x~1~1', group: 'g', name: 'x' },
      ]);
      const count = async (query: object) => (await history.runs({ limit: 10, ...query })).items.length;
      assert.deepEqual(
        await Promise.all(
          [
            { name: 'job', group: 'default' },
            { state: 'failed' },
            { worker: 'b' },
            { trigger: 'retry' },
            { from: t0 + 2 * minute },
            { to: t0 + 2 * minute },
            { groups: ['g'] },
          ].map(count),
        ),
        [2, 1, 1, 1, 2, 1, 1],
      );
    });
    promise('finds what covers an instant: its own record, or a stretch around it', async (history) => {
      await history.saveRuns([run(1), run(2, { until: t0 + 5 * minute, count: 4, state: 'skipped' })]);
      assert.equal((await history.covering('default', 'job', t0 + minute))[0]?.state, 'running');
      assert.equal((await history.covering('default', 'job', t0 + 4 * minute))[0]?.count, 4);
      assert.equal((await history.covering('default', 'job', t0 + 6 * minute)).length, 0);
    });
    promise('gives a log back byte for byte, steps over what was dropped, and counts it', async (history) => {
      const chunk = (seq: number, offset: number, text: string) => ({
        run: 'r',
        seq,
        offset,
        data: Buffer.from(text),
        at: t0,
        expireAt: t0,
      });
      await history.saveLogs([chunk(0, 0, 'head'), chunk(1, 100, 'tail')]);
      await history.saveLogs([chunk(1, 100, 'other')]);
      const head = await history.log('r', 0, 1_000);
      assert.deepEqual([Buffer.from(head.data).toString(), head.next], ['head', 4]);
      const tail = await history.log('r', 4, 1_000);
      assert.deepEqual([Buffer.from(tail.data).toString(), tail.dropped, tail.next], ['tail', 96, 104]);
      assert.equal((await history.log('r', 104, 1_000)).data.length, 0);
      assert.equal(Buffer.from((await history.log('r', 2, 1)).data).toString(), 'a');
    });
    promise('wakes who waits for a log', async (history, clock) => {
      const waiting = history.waitForLog('r', 10_000, new AbortController().signal);
      await history.saveLogs([{ run: 'r', seq: 0, offset: 0, data: Buffer.from('x'), at: t0, expireAt: t0 }]);
      await waiting;
      assert.equal(clock.pending, 0);
    });
    promise('searches the lines of a job', async (history) => {
      await history.saveRuns([run(1)]);
      const data = Buffer.from('one\ntwo needle\nthr');
      await history.saveLogs([
        { run: run(1).id, seq: 0, offset: 0, data, at: t0, expireAt: t0 },
        { run: run(1).id, seq: 1, offset: data.length, data: Buffer.from('ee needle'), at: t0, expireAt: t0 },
      ]);
      const found = await history.search({
        group: 'default',
        name: 'job',
        text: 'needle',
        since: 0,
        maxBytes: 1_000,
        limit: 10,
      });
      assert.deepEqual(
        found.lines.map(({ line }) => line),
        ['two needle', 'three needle'],
      );
    });
    promise('forgets what has expired, with its log', async (history) => {
      await history.saveRuns([run(1, { expireAt: t0 }), run(2, { expireAt: t0 + 10 })]);
      assert.equal(await history.expire(t0 + 5), 1);
      assert.equal(await history.run(run(1).id), null);
      assert.notEqual(await history.run(run(2).id), null);
    });
  });
}

historySuite('sqlite', (clock) => sqliteHistory({ file: ':memory:', clock }));

describe('History on SQLite', () => {
  it('answers every list along an index, without scan or sort', async () => {
    const history = sqliteHistory({ file: ':memory:', clock: new VirtualClock() });
    const queries = [
      {},
      { group: 'g' },
      { group: 'g', name: 'n' },
      { worker: 'w' },
      { state: 'failed' as const },
      { trigger: 'retry' as const },
      { from: 1, to: 2 },
      { group: 'g', name: 'n', state: 'failed' as const },
      { groups: ['a', 'b'] },
    ];
    for (const query of queries)
      for (const step of history.plan({ limit: 10, ...query }))
        assert.match(step, /USING INDEX/, `${JSON.stringify(query)}: ${step}`);
    await history.close();
  });
});
