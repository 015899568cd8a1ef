import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { prefixRange } from '#core/ports/kv.ts';
import { figuresTo } from '#functions/cloud/figures.ts';
import { watch } from '#functions/watch.ts';
import { type Api, makeApp } from '#test/api/make-app.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

let api: Api;
let clock: VirtualClock;
beforeEach(async () => {
  clock = new VirtualClock();
  api = await makeApp({ clock });
});
afterEach(() => api.close());

const save = (name: string, more: object = {}) =>
  api.ask('PUT', `/api/v1/jobs/default/${name}`, { body: { command: 'x', schedule: '* * * * *', ...more } });
const decide = (job: string, lane = '~') =>
  api.kv.txn({
    compare: [],
    then: [
      {
        type: 'put',
        key: api.layout.cursor(`default/${job}`, lane),
        value: JSON.stringify({ instant: clock.now(), from: 'w1', why: 'run', run: null }),
      },
    ],
  });

describe('the watchdog', () => {
  it('finds what is overdue, who is dead and what can not be read, and nothing else', async () => {
    for (const name of ['late', 'fine', 'off']) await save(name, name === 'off' ? { enabled: false } : {});
    await save('everywhere', { mode: 'all' });
    await api.registered('w1');
    await api.registered('w2');
    await api.holds('default~fine~o1~1', { worker: 'gone' });
    const broken = [
      ...[api.layout.job('default/broken'), api.layout.cursor('default/off', '~'), api.layout.token('odd')],
      ...[api.layout.channel('odd'), api.layout.run('default/off', '~', 'odd')],
    ];
    for (const key of broken) await api.kv.txn({ compare: [], then: [{ type: 'put', key, value: '{' }] });
    await clock.advance(300_000);
    await decide('fine');
    await decide('everywhere', 'w1');
    const seen = await watch(api, []);
    assert.deepEqual(
      seen.overdue.map(({ job, lane, count }) => [job, lane, count]),
      [
        ['default/everywhere', 'w2', 4],
        ['default/late', '~', 4],
      ],
    );
    assert.deepEqual(
      seen.dead.map(({ worker, runs }) => [worker, runs]),
      [['gone', ['default~fine~o1~1']]],
    );
    assert.deepEqual(seen.unreadable.map(({ key }) => key).sort(), broken.sort());
    assert.deepEqual([seen.live, seen.jobs], [2, 4]);
    const { entries } = await api.kv.range(prefixRange(api.layout.jobs));
    assert.equal(seen.newest, String(Math.max(...entries.map(({ mod }) => Number(mod)))));
    const looked = api.told.find(({ type }) => type === 'watchdog.looked');
    assert.deepEqual(looked, {
      type: 'watchdog.looked',
      at: clock.now(),
      jobs: 4,
      newest: seen.newest,
      live: 2,
      overdue: 2,
      dead: 1,
      unreadable: 5,
    });
    assert.equal(api.told.filter(({ type }) => type === 'watchdog.overdue').length, 2);
  });

  it('finds nothing wrong where only its own clock is: it is an hour ahead of the history', async () => {
    await save('fine');
    await api.registered('w1');
    await decide('fine');
    clock.step(3_600_000);
    const reference = () => Promise.resolve(clock.now() - 3_600_000);
    const history = new Proxy(api.history, {
      get: (held, name) => (name === 'now' ? reference : Reflect.get(held, name)),
    });
    const seen = await watch({ ...api, history }, []);
    assert.deepEqual([seen.overdue, seen.at], [[], await reference()]);
  });

  it('sees more jobs than fit in a page, and goes on when History is away', async () => {
    const jobs = Array.from({ length: 1_100 }, (_, i) => ({
      group: 'many',
      name: `j${i}`,
      command: 'x',
      schedule: '@hourly',
    }));
    for (let from = 0; from < jobs.length; from += 550)
      assert.equal(
        (await api.ask('POST', '/api/v1/apply', { body: { jobs: jobs.slice(from, from + 550) } })).status,
        200,
      );
    await clock.advance(3_700_000);
    const loads = () => Promise.reject(new Error('away'));
    const seen = await watch({ ...api, history: { ...api.history, loads } }, []);
    assert.deepEqual([seen.jobs, seen.overdue.length], [1_100, 1_100]);
    assert.match(seen.overdue[0]?.why ?? '', /there is no worker/);
  });

  it('tells everybody, though one can not be told, and then fails', async () => {
    await save('late');
    await clock.advance(300_000);
    const lines: string[] = [];
    const deaf = () => Promise.reject(new Error('deaf'));
    await assert.rejects(watch(api, [deaf, figuresTo((line) => lines.push(line), 'test')]), /deaf/);
    const { Overdue, Stage, _aws } = JSON.parse(lines[0] ?? '');
    assert.deepEqual([Overdue, Stage], [1, 'test']);
    assert.deepEqual(_aws.CloudWatchMetrics[0].Dimensions, [['Stage']]);
  });
});
