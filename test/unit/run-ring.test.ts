import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type RingRun, runRing } from '#infra/scripts/testing/run-ring.ts';

/** Runs one test file of this text as a ring of its own. */
async function ring(
  source: string,
  options: { deadlineMs?: number; graceMs?: number } = {},
): Promise<RingRun> {
  const folder = mkdtempSync(join(tmpdir(), 'ring-'));
  const file = join(folder, 'planted.test.ts');
  writeFileSync(
    file,
    `import test from 'node:test';\nimport { spawn } from 'node:child_process';\n${source}`,
  );
  try {
    const stop = new AbortController().signal;
    return await runRing([file], { concurrency: 1, deadlineMs: 60_000, graceMs: 200, stop, ...options });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('a ring of tests', () => {
  test('counts what passed, and says nothing of it', async () => {
    const { tally, report } = await ring(
      "test('a', () => {}); test.suite('s', () => { test('b', () => {}); });",
    );
    assert.deepEqual(tally, { passed: 2, failed: 0, skipped: [] });
    assert.equal(report, '');
  });

  test('tells a failure by name, with what was thrown and what its file printed', async () => {
    const { tally, report } = await ring(
      "console.log('seed 42'); test('a', async (t) => { await t.test('b', () => { throw new Error('odd'); }); });",
    );
    assert.equal(tally.failed, 1);
    assert.match(report, /a > b[\s\S]*odd[\s\S]*seed 42/);
  });

  test('passes on what a file says could not run here at all, beside tests that pass', async () => {
    const { tally, report } = await ring("console.log('NOT RUN HERE: it\\nmore'); test('a', () => {});");
    assert.deepEqual(tally, { passed: 1, failed: 0, skipped: [] });
    assert.match(report, /planted\.test\.ts: NOT RUN HERE: it$/);
  });

  test('names what was skipped', async () => {
    const { tally } = await ring("test('a', () => {}); test.skip('b', () => {}); test.todo('c');");
    assert.equal(tally.passed, 1);
    assert.match(tally.skipped.join(), /b,.*c/);
  });

  test('fails on a file without a test and on one that does not load', async () => {
    assert.match((await ring('')).report, /holds no test/);
    assert.match((await ring("import './no-such-file.ts';")).report, /ended badly[\s\S]*no-such-file/);
  });

  test('fails on a process that is left, and ends it', async () => {
    const { tally, report } = await ring(
      "test('a', () => { const c = spawn('sleep', ['4321'], { detached: true, stdio: 'ignore', env: {}, cwd: process.env.TMPDIR }); c.unref(); });",
    );
    assert.equal(tally.failed, 1);
    const pid = Number(/left processes running:\s+(\d+) sleep 4321/.exec(report)?.[1]);
    assert.ok(pid > 0, report);
    // Where nobody reaps orphans it stays in the table as a zombie, which has no command line.
    const commandLine = existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';
    assert.equal(commandLine, '');
  });

  test('fails on a temporary file that is left, and removes it', async () => {
    const { tally, report } = await ring(
      "import { mkdtempSync } from 'node:fs'; import { tmpdir } from 'node:os'; test('a', () => { mkdtempSync(`${tmpdir()}/mine-`); });",
    );
    assert.equal(tally.failed, 1);
    assert.match(report, /left in their temporary folder: mine-/);
  });

  test('ends a file that never ends, and names it', async () => {
    const { tally, report } = await ring("test('a', () => { setInterval(() => {}, 1000); });", {
      deadlineMs: 1500,
    });
    assert.ok(tally.failed >= 1);
    assert.match(report, /did not end within[\s\S]*planted\.test\.ts/);
  });
});
