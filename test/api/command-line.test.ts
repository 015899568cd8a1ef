import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { newestOf } from '#agent/cli/views.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { commandLine } from './command-line.ts';
import { type Api, makeApp } from './make-app.ts';

const t0 = Date.UTC(2026, 10, 22, 16, 35);
const second = 1_000;
const minute = 60 * second;
let api: Api;
const cli = (...words: string[]) => commandLine(api, ...words);
const save = (name: string, job: object) => api.ask('PUT', `/api/v1/jobs/default/${name}`, { body: job });

beforeEach(async () => {
  api = await makeApp({ clock: new VirtualClock({ now: t0 }) });
});
afterEach(() => api.close());

describe('a time on the command line', () => {
  it('may be written as it is printed, in ids too, wherever one is taken', async () => {
    await save('tick', { command: 'x', schedule: '*/5 * * * *' });
    const instant = t0 + 10 * minute;
    for (const text of [
      '2026-11-22 16:45:00Z',
      '2026-11-22T16:45:00Z',
      '2026-11-22T16:45:00.000Z',
      '20261122T164500.000Z',
      '2026-11-22 16:45Z',
      '2026-11-22t16:45z',
      '2026-11-22 17:45:00+01:00',
      '2026-11-22 17:45:00 +01',
    ]) {
      const { code, out, notes } = await cli('why', 'tick', text);
      assert.deepEqual([code, out.split(': ')[0]], [0, '2026-11-22 16:45:00Z'], text + notes);
    }
    await api.ran({ id: 'default~tick~20261122T164500.000Z~1', instant, startedAt: instant });
    for (const [from, to, count] of [
      ['2026-11-22 16:45:00Z', '2026-11-22 16:46:00Z', 1],
      ['2026-11-22 16:46:00Z', '2026-11-22 17:46:00Z', 0],
    ] as const) {
      const { out } = await cli('runs', 'tick', '--from', from, '--to', to, '--json');
      assert.equal(JSON.parse(out).length, count, from);
    }
    const paused = await cli('pause', 'tick', '--until', '2026-11-22 18:00:00Z');
    assert.equal(paused.out, 'tick is paused until 2026-11-22 18:00:00Z\n');
  });

  it('that is none is a wrong call, which says how one is written', async () => {
    await save('tick', { command: 'x', schedule: '*/5 * * * *' });
    for (const text of [
      'yesterday',
      '2026-11-22 16:45',
      '2026-02-30 16:45:00Z',
      '2026-11-22 25:00Z',
      '16:45Z',
    ])
      for (const words of [
        ['why', 'tick', text],
        ['runs', 'tick', '--from', text],
        ['runs', '--to', text],
        ['pause', 'tick', '--until', text],
      ]) {
        const { code, notes } = await cli(...words);
        assert.equal(code, 2, words.join(' '));
        assert.ok(notes.includes(`${text}: expected a time such as 2026-11-22T02:30:00Z, `), notes);
      }
    for (const command of ['why', 'runs', 'pause'])
      assert.match((await cli(command, '--help')).out, /2026-11-22 02:30:00Z/);
  });
});

describe('why', () => {
  it('takes a run, whose instant is in its id, also one of a backfill', async () => {
    await save('tick', { command: 'x', schedule: '*/5 * * * *' });
    for (const cause of ['20261122T163000.000Z', 'o1.20261122T163000.000Z']) {
      const instant = t0 - 5 * minute;
      await api.ran({ id: `default~tick~${cause}~1`, instant, startedAt: instant, worker: 'w1' });
      const { code, out } = await cli('why', `default~tick~${cause}~1`);
      assert.deepEqual([code, /^2026-11-22 16:30:00Z: It ran on w1/.test(out)], [0, true], out);
    }
    assert.equal((await cli('why', 'default~tick~20261122T163000.000Z~1', '2026-11-22 16:30:00Z')).code, 2);
  });

  it('of a run by hand says who asked for it and what became of it; also by the job, where it has no schedule', async () => {
    await save('by-hand', { command: 'x' });
    assert.match((await cli('why', 'by-hand')).notes, /only instants of a schedule have a why/);
    const run = { trigger: 'manual', instant: null, by: 'ann', worker: 'w1', startedAt: t0 } as const;
    await api.ran({ id: 'default~by-hand~o1~1', ...run, state: 'failed', reason: 'exit status 3' });
    const said =
      'default~by-hand~o1~1: ann asked for it by hand; it is failed on w1 (exit status 3), started 2026-11-22 16:35:00Z.\n';
    for (const words of [['default~by-hand~o1~1'], ['by-hand']])
      assert.deepEqual(await cli('why', ...words), { code: 0, out: said, notes: '' });
    const json = JSON.parse((await cli('why', 'by-hand', '--json')).out);
    assert.deepEqual([json.instant, json.state, json.run], [null, 'failed', 'default~by-hand~o1~1']);
    assert.equal((await cli('why', 'default~by-hand~o9~1')).code, 1);
  });
});

describe('runs', () => {
  it('of a killed one names who killed it', async () => {
    await save('long', { command: 'x' });
    const kill = { by: 'ann', requestedAt: t0, signalledAt: t0, confirmedAt: t0, certain: true };
    await api.ran({ id: 'default~long~o1~1', state: 'killed', kill });
    assert.match((await cli('runs', 'long')).out, /^default~long~o1~1 +killed .* killed by ann$/m);
  });
});

describe('the last run of a job', () => {
  it('is the one that began last, whichever of them run on', () => {
    const rows: [living: number[], ended: number, newest: string][] = [
      [[1, 2, 3], 0, 'o3'],
      [[3, 1, 2], 0, 'o3'],
      [[1, 2], 9, 'o9'],
    ];
    for (const [living, ended, newest] of rows) {
      const view = {
        running: living.map((at) => ({ id: `o${at}`, startedAt: new Date(t0 + at * second).toISOString() })),
        last: { id: `o${ended}`, startedAt: new Date(t0 + ended * second).toISOString() },
      };
      assert.equal(newestOf(view as never)?.id, newest);
    }
    const waiting = { id: 'waits', startedAt: null, claimedAt: null };
    assert.equal(newestOf({ running: [waiting], last: null } as never)?.id, 'waits');
    assert.equal(newestOf({ running: [], last: null } as never), null);
  });
});

describe('ls', () => {
  it('shows what a job runs, in one line and not all of a long one, and its zone where it is another', async () => {
    await save('a', {
      command: `one\ntwo ${'x'.repeat(60)}`,
      schedule: '0 2 * * *',
      timezone: 'Pacific/Apia',
    });
    await save('b', { argv: ['/bin/echo', 'hello'], schedule: '0 3 * * *', timezone: 'UTC' });
    await save('c', { command: 'by hand', timezone: 'Pacific/Apia' });
    const [head, ...rows] = (await cli('ls')).out.trim().split('\n');
    assert.match(head ?? '', /^JOB +SCHEDULE +NEXT +LAST +COMMAND$/);
    assert.match(rows[0] ?? '', /^a +0 2 \* \* \* Pacific\/Apia {2}\S+ \S+ {2}- +one·two x{31}…$/);
    assert.match(rows[1] ?? '', /^b +0 3 \* \* \* {2,}\S+ \S+ {2}- +\/bin\/echo hello$/);
    assert.match(rows[2] ?? '', /^c +by hand {2,}- {2,}- +by hand$/);
  });
});

describe('what is malformed in a call', () => {
  it('makes it a wrong one; what is well-formed and refused does not', async () => {
    await save('a', { command: 'x' });
    for (const [code, ...words] of [
      [2, 'ls', '--state', 'bad'],
      [2, 'ls', '--group', 'a b'],
      [2, 'runs', '--limit', '0'],
      [2, 'runs', 'a b'],
      [2, 'show', 'a/b/c'],
      [2, 'why', 'a b'],
      [2, 'why', 'a~b'],
      [2, 'logs', 'a~b'],
      [2, 'kill', 'a'],
      [2, 'kill', 'default~a~o1~1', '--grace', 'long'],
      [2, 'search', 'a', 'x', '--days', 'x'],
      [2, 'next', '99 * * * *'],
      [2, 'next', '@daily', '--timezone', 'Nowhere'],
      [1, 'show', 'b'],
      [1, 'kill', 'default~a~o1~1'],
      [1, 'run', 'a', '--worker', 'w9'],
      [1, 'pause', 'a', '--until', '2020-01-01 00:00:00Z'],
    ] as const)
      assert.equal((await cli(...words)).code, code, words.join(' '));
  });
});
