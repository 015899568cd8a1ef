import assert from 'node:assert/strict';
import { it } from 'node:test';
import { workerFindings } from '#agent/cli/doctor/worker-findings.ts';

const worker = (id: string, more: object = {}) => ({
  ...{ id, state: 'live', clockSkewMs: 0, tzdata: '2026b' },
  ...more,
});
const said = (...workers: Parameters<typeof workerFindings>[0]) =>
  workerFindings(workers).map(({ level, what }) => `${level} ${what}`);

it('doctor names the worker whose zone data or clock keeps it from jobs', () => {
  assert.deepEqual(said(worker('a'), worker('b'), worker('c')), ['ok live workers: a, b, c']);
  assert.deepEqual(
    said(
      worker('a'),
      worker('old', { tzdata: '2025a' }),
      worker('b'),
      worker('off', { clockSkewMs: -501 }),
    ).slice(1),
    [
      'bad old has zone data 2025a, most have 2026b: it runs no job that has a zone',
      "bad off's clock is -501 ms off, so it claims nothing",
    ],
  );
  // At a tie the newer, and what is dead has no voice.
  const [, tie] = said(
    worker('a'),
    worker('b', { tzdata: '2025a' }),
    worker('c', { tzdata: '2025a', state: 'dead' }),
  );
  assert.match(tie ?? '', /^bad b has zone data 2025a/);
  assert.match(said(worker('a', { state: 'dead' }))[0] ?? '', /^bad no worker is live/);
});
