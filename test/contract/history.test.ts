import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { Refusal } from '#core/model/refusal.ts';
import { HistoryError, type RunQuery } from '#core/ports/history.ts';
import { historyLayout } from '#core/stores/history/sqlite/layout.ts';
import { sqliteHistory } from '#core/stores/history/sqlite/sqlite-history.ts';
import { openDatabase } from '#core/stores/sqlite/open-database.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { alert, chunk, historySuite, minuteMs, run, t0 } from './history-suite.ts';
import { tempFolder } from './temp-folder.ts';

const traits = { forgetsByItself: false, hasOwnTime: false, looksEveryMs: Infinity };
historySuite(
  'on SQLite',
  (clock) => {
    const { file, clean } = tempFolder();
    return { history: sqliteHistory({ file, clock }), clean };
  },
  traits,
);
historySuite(
  'on SQLite without a file',
  (clock) => ({ history: sqliteHistory({ file: ':memory:', clock }), clean() {} }),
  traits,
);

describe('History on SQLite', () => {
  it('wakes who waits for a log that another process writes', async () => {
    const { file, clean } = tempFolder();
    const clock = new VirtualClock();
    const [reader, writer] = [sqliteHistory({ file, clock }), sqliteHistory({ file, clock })];
    let woken = false;
    const waiting = reader.waitForLog('a', 20_000, new AbortController().signal).then(() => {
      woken = true;
    });
    await clock.advance(1_000);
    assert.equal(woken, false, 'nobody has written');
    await writer.saveLogs([chunk('a', 0, 0, 'x')]);
    await clock.advance(200);
    assert.equal(woken, true);
    await waiting;
    assert.equal((await reader.log('a', 0, 10)).data.length, 1);
    await reader.close();
    await writer.close();
    clean();
  });

  it('answers every list along an index that is in its order, without scan or sort', async () => {
    const history = sqliteHistory({ file: ':memory:', clock: new VirtualClock() });
    const filters: Partial<RunQuery>[] = [
      {},
      { group: 'g' },
      { group: 'g', name: 'n' },
      { worker: 'w' },
      { state: 'failed' },
      { state: 'succeeded' },
      { trigger: 'retry' },
      { trigger: 'schedule' },
      { from: 1, to: 2 },
      { groups: ['a', 'b'] },
      { cursor: Buffer.from('[1,1,1]').toString('base64url') },
    ];
    for (const one of filters)
      for (const other of filters) {
        const query = { ...one, ...other, limit: 10 };
        for (const step of history.plan(query)) {
          assert.match(step, /^(SEARCH|SCAN) run USING INDEX run_\w+/, `${JSON.stringify(query)}: ${step}`);
          // A scan is the walk along the whole index, which LIMIT ends: right only where nothing has to be found.
          if (step.startsWith('SCAN'))
            assert.deepEqual([step, query], ['SCAN run USING INDEX run_due', { limit: 10 }]);
        }
      }
    await history.close();
  });

  it('is there again after it was closed, for its owner only, and lets others read meanwhile', async () => {
    const { file, clean } = tempFolder();
    const clock = new VirtualClock();
    const first = sqliteHistory({ file, clock });
    await first.saveRuns([run(1)]);
    for (const path of [file, `${file}-wal`, `${file}-shm`])
      assert.equal(statSync(path).mode & 0o777, 0o600, path);
    const reader = new DatabaseSync(file, { readOnly: true });
    assert.deepEqual({ ...reader.prepare('SELECT count(*) AS n FROM run').get() }, { n: 1 });
    reader.close();
    await first.close();
    const second = sqliteHistory({ file, clock });
    assert.deepEqual(await second.run(run(1).id), run(1));
    await second.close();
    clean();
  });

  it('opens a file of an earlier layout, with what it holds', async () => {
    const { file, clean } = tempFolder();
    const clock = new VirtualClock();
    const before = { ...historyLayout, steps: historyLayout.steps.slice(0, 2) };
    const old = openDatabase(file, before, { exclusive: false });
    old
      .prepare('INSERT INTO alert VALUES (?, ?, NULL, ?, 1, ?, NULL, NULL, ?, ?)')
      .run('a', t0, 'g/a', t0, t0, JSON.stringify(alert('a', 0)));
    old.close();
    const history = sqliteHistory({ file, clock });
    const [taken] = await history.claimAlerts({ by: 'x', now: t0, until: t0 + minuteMs, limit: 9 });
    assert.equal(taken?.id, 'a');
    await history.close();
    clean();
  });

  it('saves all records of a call or none, and says which file would not take them', async () => {
    const { file, clean } = tempFolder();
    const history = sqliteHistory({ file, clock: new VirtualClock() });
    await history.saveRuns([run(1)]);
    const broken = { ...run(3), count: undefined } as unknown as ReturnType<typeof run>;
    await assert.rejects(
      history.saveRuns([run(2), broken]),
      (error) => error instanceof HistoryError && error.code === 'unfit',
    );
    assert.equal(await history.run(run(2).id), null);
    await history.saveRuns([run(2)]);
    const other = new DatabaseSync(file);
    other.exec('DROP TABLE log');
    other.close();
    await assert.rejects(history.saveLogs([chunk('r', 0, 0, 'x')]), new RegExp(`${file}: cannot write`));
    await history.close();
    clean();
  });

  it('lets others have their turn during something long', async () => {
    const history = sqliteHistory({ file: ':memory:', clock: new VirtualClock() });
    const runs = Array.from({ length: 25_000 }, (_, at) =>
      run(at / 100, { name: `j${at}`, state: 'succeeded', expireAt: t0 }),
    );
    await history.saveRuns(runs);
    let turns = 0;
    const turn = () => {
      turns++;
      immediate = setImmediate(turn);
    };
    let immediate = setImmediate(turn);
    await history.stats({ from: t0, to: t0 + 1_000 * minuteMs, stepMs: 1_000 * minuteMs });
    assert.ok(turns >= 2, `${turns} turns during stats`);
    turns = 0;
    assert.equal(await history.expire(t0), runs.length);
    assert.ok(turns >= 100, `${turns} turns while expiring`);
    clearImmediate(immediate);
    await history.close();
  });

  it('ends an expiry that is under way when it is closed', async () => {
    const history = sqliteHistory({ file: ':memory:', clock: new VirtualClock() });
    await history.saveRuns(
      Array.from({ length: 1_000 }, (_, at) => run(at, { state: 'succeeded', expireAt: t0 })),
    );
    const expiring = history.expire(t0);
    await history.close();
    assert.ok((await expiring) < 1_000);
  });

  it('refuses a file that is not its own by name', async () => {
    const { file, clean } = tempFolder();
    writeFileSync(file, 'no database at all, though long enough for a header '.repeat(100));
    assert.throws(
      () => sqliteHistory({ file, clock: new VirtualClock() }),
      (error) => error instanceof Refusal && error.code === 'store_corrupt' && error.message.includes(file),
    );
    clean();
  });
});
