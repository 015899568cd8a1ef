import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { leanRecord } from '#agent/lean-record.ts';
import { checkJob } from '#core/cluster/check-job.ts';
import { decode, encodeJob, JobValue } from '#core/cluster/records.ts';
import type { JobInput, JobRecord } from '#core/model/job.ts';
import { parseSchedule } from '#core/schedule/parse.ts';

const at = Date.UTC(2026, 10, 22, 16, 35);
const recordOf = (job: JobInput): JobRecord => ({
  ...{ job: checkJob(job), revision: '7', floor: at, floorWhy: 'edited', paused: null, skips: [at] },
  ...{ createdAt: at, updatedAt: at, updatedBy: 'me', cronExpr: null },
});

/** By default, otherwise, and by default again in parts: what is left out must come back as it was. */
const jobs: [string, JobInput][] = [
  ['a job of nothing but defaults', { name: 'a', command: 'true' }],
  ['a job called as the defaults are', { name: 'any', command: 'true' }],
  ['the default group, said', { group: 'default', name: 'a', command: 'true' }],
  ['another group', { group: 'other', name: 'a', argv: ['x'], schedule: ['@daily', '5 4 * * *'] }],
  [
    'half a default',
    { name: 'a', command: 'x', retry: { attempts: 2 }, target: { labels: { a: ['b', 'c'] } } },
  ],
  [
    'everything otherwise',
    {
      ...{
        group: 'g',
        name: 'n',
        description: 'd',
        owner: 'o',
        tags: ['t', 't'],
        runbook: 'https://a.example',
      },
      ...{ command: 'x', shell: '/bin/bash', env: { A: 'b' }, cwd: '/', user: 'root', stdin: '' },
      ...{ schedule: '* * * * *', timezone: 'Europe/Berlin', dst: 'skip', except: ['2026-12-24'] },
      ...{ startAt: '2026-01-01', endAt: '2036-01-01', enabled: false, timeout: '1h', killSignal: 'INT' },
      ...{ killGrace: '1s', successCodes: [0, 3], overlap: 'queue', catchUp: 'all', catchUpWindow: '2h' },
      ...{
        guarantee: 'at-least-once',
        onLeaseLoss: 'kill',
        mode: 'all',
        output: { max: 0 },
        retention: '1d',
      },
      ...{ notify: [{ on: ['failed'], to: ['me'] }], finishBy: '5m', retry: { factor: 1 } },
      target: { workers: ['w'] },
    },
  ],
];

describe('a job among 100,000', () => {
  for (const [what, input] of jobs)
    it(`is read as it was written, and kept as it was read: ${what}`, () => {
      const record = recordOf(input);
      const value = encodeJob(record);
      const read = decode(JobValue, { key: 'k', value, create: '1', mod: '1', version: 1, lease: null });
      assert.deepEqual(read.ok && read.value, record);
      // In the order of the fields too: whether a save changes anything is judged by the text.
      assert.equal(JSON.stringify(read.ok && read.value.job), JSON.stringify(record.job));
      assert.deepEqual(leanRecord(record), record);
      assert.equal(JSON.stringify(leanRecord(record)), JSON.stringify(record));
    });

  it('takes room for what it says, not for what it has by default', () => {
    const record = recordOf({ name: 'a', command: 'true', schedule: '@daily' });
    assert.deepEqual(JSON.parse(encodeJob(record)).job, { name: 'a', command: 'true', schedule: '@daily' });
    const [one, other] = [
      leanRecord(recordOf({ name: 'a', command: 'x' })),
      leanRecord(recordOf({ name: 'b', command: 'x' })),
    ];
    for (const field of ['retry', 'target', 'env', 'tags', 'successCodes', 'output'] as const)
      assert.equal(one.job[field], other.job[field], field);
  });

  it('shares its schedule with those that have the same instants, and with nobody else', () => {
    const base = { timezone: 'Europe/Berlin', seed: 'a/a' };
    const one = parseSchedule('5 4 * * THU', base);
    assert.equal(parseSchedule(['5 4 * * THU'], { ...base, seed: 'b/b' }), one);
    for (const other of [
      parseSchedule('5 4 * * FRI', base),
      parseSchedule('5 4 * * THU', { ...base, timezone: 'UTC' }),
      parseSchedule('5 4 * * THU', { ...base, dst: 'both' }),
      parseSchedule('5 4 * * THU', { ...base, except: ['2026-12-24'] }),
      parseSchedule('5 4 * * THU', { ...base, startAt: '2026-12-24' }),
      parseSchedule('5 4 * * THU', { ...base, endAt: '2036-12-24' }),
    ])
      assert.notEqual(other, one);
    for (const text of ['H 4 * * *', '5 0~23 * * *', '5 H(1-5) * * *']) {
      const instants = new Set<number | null>();
      for (let n = 0; n < 20; n++) instants.add(parseSchedule(text, { seed: `a/${n}` }).next(at));
      assert.ok(instants.size > 1, text);
    }
  });
});
