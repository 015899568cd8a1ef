import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { editedLines, inFolders, reconcile, sourceOf } from '#agent/cli/crontab-sources.ts';
import { parseCrontab } from '#core/crontab/parse.ts';
import { Job, type JobInput } from '#core/model/job.ts';

const job = (name: string, ...tags: string[]) => v.parse(Job, { name, command: 'x', tags });
const file = { path: '/etc/cron.d/a', kind: 'system' as const, owner: undefined, read: '' };
const stdin = { path: '-', kind: 'user' as const, owner: undefined, read: null };
const long = 'a'.repeat(64);

describe('where the line of a job stands', () => {
  it('is a file of a host, or the table of a user of a host, however that was read', () => {
    assert.equal(sourceOf(file, undefined, 'h'), 'crontab:h:/etc/cron.d/a');
    assert.equal(sourceOf(stdin, 'ann', 'h'), 'crontab:h:ann');
    assert.equal(sourceOf({ ...file, owner: 'ann' }, 'ann', 'h'), 'crontab:h:ann');
    assert.equal(sourceOf({ ...file, kind: 'user' }, 'ann', 'h'), 'crontab:h:/etc/cron.d/a');
    assert.equal(sourceOf(stdin, undefined, 'h'), null);
  });

  it('is a tag that a job can have, whatever it is called, and another for each', () => {
    const tags = [
      sourceOf({ ...file, path: `/etc/${long}/a` }, undefined, 'h'),
      sourceOf({ ...file, path: `/etc/${long}/b` }, undefined, 'h'),
      sourceOf({ ...file, path: '/etc/a b\u0007' }, undefined, 'h'),
      sourceOf(stdin, 'ann', long),
    ];
    assert.equal(new Set(tags).size, 4);
    assert.equal(job('a', ...tags.map(String)).tags.length, 4);
  });

  it('is known of a folder, of tables that are gone from it, too', () => {
    const dir = mkdtempSync(join(tmpdir(), 'cronfleet-sources-'));
    try {
      const folder = join(dir, long);
      mkdirSync(folder);
      writeFileSync(join(dir, 'a'), '');
      const isIn = inFolders([dir, folder, join(dir, 'a'), '-'], 'h');
      const at = (path: string, host = 'h') => sourceOf({ ...file, path }, undefined, host) ?? '';
      const cases: [string, boolean][] = [
        [at(join(dir, 'gone')), true],
        [at(join(folder, 'gone')), true],
        [at(join(dir, 'gone'), 'g'), false],
        [at(join(folder, 'gone'), 'g'), false],
        [at(join(dir, 'other', 'a')), false],
        [at('/etc/crontab'), false],
        ['crontab:h:ann', false],
      ];
      for (const [tag, expected] of cases) assert.equal(isIn(tag), expected, tag);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('an import of a line whose job is there', () => {
  const lineOf = (text: string, name: string): JobInput => {
    const [line] = parseCrontab(text, { kind: 'user', zone: 'Europe/Berlin', owner: 'ann' }).jobs;
    return { ...(line?.job ?? { name }), name };
  };
  const line = '# as the table has it\nA=1\n1 2 * * * x%in';
  const first = v.parse(Job, lineOf(line, 'x'));
  const again = (there: Job, text = line) =>
    v.parse(Job, reconcile([there], [{ job: lineOf(text, 'x'), source: null }], () => false).jobs[0]);

  const stays: Partial<JobInput>[] = [
    { notify: [{ on: ['failed'], to: ['ops'] }] },
    { timeout: '5m', killSignal: 'INT', killGrace: '1m' },
    { retry: { attempts: 3 }, successCodes: [0, 3] },
    { finishBy: '30m', retention: '7d', output: { max: 1 } },
    { overlap: 'skip', catchUp: 'all', catchUpWindow: '2h', guarantee: 'at-least-once', onLeaseLoss: 'kill' },
    { target: { workers: ['web-1'], labels: { zone: 'a' } }, mode: 'all' },
    { description: 'as people have it', owner: 'ann', runbook: 'https://example.org/x', tags: ['db'] },
    { enabled: false, dst: 'skip', except: ['2026-12-25'], startAt: '2026-01-01', endAt: '2027-01-01' },
    { cwd: '/srv' },
  ];
  for (const set of stays)
    it(`leaves what no line says: ${Object.keys(set).join(', ')}`, () => {
      const there = v.parse(Job, { ...first, ...set });
      assert.deepEqual(again(there), there);
    });

  const setBack: Partial<JobInput>[] = [
    { command: 'y' },
    { command: null, argv: ['x'] },
    { stdin: null },
    { schedule: ['@daily', '1 2 * * *'] },
    { timezone: 'UTC' },
    { shell: '/bin/bash' },
    { env: { A: '2', B: '3' } },
    { user: 'root' },
    { description: '' },
  ];
  for (const set of setBack)
    it(`sets back what it says: ${Object.keys(set).join(', ')}`, () => {
      assert.deepEqual(again(v.parse(Job, { ...first, timeout: '5m', ...set })), { ...first, timeout: '5m' });
    });

  it('takes away the input that it does not have', () => {
    assert.equal(again(first, '1 2 * * * x').stdin, null);
  });

  it('has every field of a job in one of these lists', () => {
    const listed = [...stays, ...setBack].flatMap((set) => Object.keys(set));
    assert.deepEqual([...new Set(['group', 'name', ...listed])].sort(), Object.keys(first).sort());
  });
});

describe('an import of tables', () => {
  const isOf = (tag: string) => tag === 'crontab:h:a' || tag === 'crontab:h:b';
  const names = (jobs: readonly { name: string }[]) => jobs.map(({ name }) => name);

  it('marks each job by where it stands now, and leaves the tags that others gave it', () => {
    const there = [job('x', 'db', 'crontab:h:b'), job('y', 'crontab:g:a'), job('z', 'crontab:h:a', 'db')];
    const read = ['x', 'y', 'z', 'new'].map((name) => ({ job: { name }, source: 'crontab:h:a' }));
    assert.deepEqual(
      reconcile(there, read, isOf).jobs.map(({ tags }) => tags),
      [['db', 'crontab:h:a'], ['crontab:g:a', 'crontab:h:a'], ['crontab:h:a', 'db'], ['crontab:h:a']],
    );
    const nameless = [{ job: { name: 'y' }, source: null }];
    assert.deepEqual(reconcile(there, nameless, isOf).jobs[0]?.tags, ['crontab:g:a']);
  });

  it('of a job that stands in more tables than it can have tags takes none for gone any more', () => {
    const isOfHost = (host: number) => (tag: string) => tag === `crontab:h${host}:a`;
    let [x] = [job('x', 'db')];
    for (let host = 0; host < 100; host += 1) {
      const read = [{ job: { ...x }, source: `crontab:h${host}:a` }];
      [x] = reconcile([x], read, isOfHost(host)).jobs.map((one) => v.parse(Job, one)) as [Job];
    }
    assert.deepEqual([x.tags.length, x.tags[0], x.tags.at(-1)], [64, 'db', 'crontab:*']);
    for (let host = 0; host < 100; host += 1) {
      const { gone, elsewhere } = reconcile([x], [], isOfHost(host));
      assert.deepEqual(gone, []);
      x = elsewhere[0] ?? x;
    }
    assert.deepEqual(x.tags, ['db', 'crontab:*']);
    const others = job('y', ...Array.from({ length: 64 }, (_, at) => String(at)));
    const [kept] = reconcile([others], [{ job: { name: 'y' }, source: 'crontab:h1:a' }], isOfHost(1)).jobs;
    assert.deepEqual(kept?.tags, others.tags);
  });

  it('knows which have no line any more, and of those none that stands in another table, or that people made', () => {
    const there = [
      job('gone', 'crontab:h:a'),
      job('gone-from-both', 'crontab:h:a', 'crontab:h:b', 'db'),
      job('elsewhere', 'crontab:g:a', 'crontab:h:a'),
      job('others', 'crontab:g:a'),
      job('made', 'db'),
      job('still', 'crontab:h:a'),
    ];
    const found = reconcile(there, [{ job: { name: 'still' }, source: 'crontab:h:a' }], isOf);
    assert.deepEqual(names(found.gone), ['gone', 'gone-from-both']);
    assert.deepEqual(found.elsewhere, [job('elsewhere', 'crontab:g:a')]);
  });
});

describe('a line that was edited', () => {
  const lineOf = (text: string) => {
    const [, at = '', command = ''] = /^(\S+ \S+) (.*)/.exec(text) ?? [];
    return {
      name: text.replaceAll(' ', '.'),
      command,
      schedule: `${at} * * *`,
      overlap: 'allow',
      catchUp: 'none',
    } as const;
  };
  const was = (text: string, ...tags: string[]) =>
    v.parse(Job, { ...lineOf(text), timeout: '5m', tags: tags.length === 0 ? ['crontab:h:a'] : tags });
  const rows: [what: string, gone: Job[], fresh: string[], pairs: string[]][] = [
    ['at another time', [was('1 2 x y')], ['1 3 x y'], ['1.2.x.y > 1.3.x.y']],
    ['with another argument', [was('1 2 x y')], ['1 2 x z'], ['1.2.x.y > 1.2.x.z']],
    ['in both, as the only one', [was('1 2 x')], ['1 3 y'], ['1.2.x > 1.3.y']],
    [
      'each by its surest likeness',
      [was('1 2 x a'), was('1 2 x b'), was('5 5 z')],
      ['1 3 x a', '1 2 x c', '6 6 q'],
      ['1.2.x.a > 1.3.x.a', '1.2.x.b > 1.2.x.c', '5.5.z > 6.6.q'],
    ],
    ['or two, of which nobody knows which was which', [was('1 2 x')], ['1 3 x', '1 4 x'], []],
    ['or either of two', [was('1 2 x'), was('1 3 x')], ['1 4 x'], []],
    ['in another table', [was('1 2 x', 'crontab:h:b')], ['1 3 x'], []],
    ['of a job that nobody had set anything on', [{ ...was('1 2 x'), timeout: null }], ['1 3 x'], []],
  ];
  for (const [what, gone, fresh, pairs] of rows)
    it(`is known: ${what}`, () => {
      const read = fresh.map((text) => ({ job: lineOf(text), source: 'crontab:h:a' }));
      const found = editedLines(gone, read);
      assert.deepEqual(
        found.map((one) => `${one.was.name} > ${one.job.name}`),
        pairs,
      );
      for (const { settings } of found) assert.deepEqual(settings, { timeout: '5m' });
    });

  it('has the settings of the former one named, but not what lines say and what it has itself', () => {
    const set = {
      tags: ['crontab:h:a', 'db'],
      enabled: false,
      description: 'd',
      env: { A: '1' },
      overlap: 'skip',
    };
    const [one] = editedLines(
      [v.parse(Job, { ...was('1 2 x'), ...set })],
      [{ job: { ...lineOf('1 3 x'), description: 'd' }, source: 'crontab:h:a' }],
    );
    assert.deepEqual(one?.settings, { timeout: '5m', tags: ['db'], enabled: false, overlap: 'skip' });
  });
});
