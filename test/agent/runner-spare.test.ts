import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { RunDir } from '#agent/runner/run-dir.ts';
import { SpareDirs } from '#agent/runner/spare-dirs.ts';
import { planOf, RunnerHost } from './runner-host.ts';

describe('directories of runs that are over', () => {
  let root: string;
  let spares: SpareDirs;
  const spare = () => readdirSync(join(root, 'spare'));
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'cronfleet-spare-'));
    spares = new SpareDirs(join(root, 'spare'));
    spares.open();
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it('serve another run, with nothing in them of the one before', () => {
    const first = new RunDir(root, 'default~a~x~1');
    first.create(planOf('a', { command: 'true', stdin: 'secret' }), 'boot', spares);
    first.claim({ fence: '7', incarnation: '3', claimedAt: 1 });
    writeFileSync(first.file('started'), '12\n');
    writeFileSync(first.file('exit'), '1\n');
    writeFileSync(first.file('output'), 'said');
    first.keepEnding('killed');
    const { ino } = statSync(first.file('started'));
    spares.give(first.path);
    assert.equal(first.exists(), false);
    assert.equal(spare().length, 1);

    const plan = planOf('b', { command: 'true' });
    const second = new RunDir(root, plan.run);
    second.create(plan, 'boot', spares);
    assert.equal(statSync(second.file('started')).ino, ino);
    assert.deepEqual(readdirSync(second.path).sort(), ['claimed', 'exit', 'run.json', 'started']);
    assert.deepEqual(second.read()?.plan.run, plan.run);
    assert.deepEqual(
      [second.claimed(), second.startedAt(), second.exit(), second.ending()],
      [null, null, null, null],
    );
    assert.deepEqual(spare(), []);
  });

  it('go as a whole where something in them is amiss', () => {
    const plan = planOf('a', { command: 'true' });
    const dir = new RunDir(root, plan.run);
    dir.create(plan, 'boot', spares);
    rmSync(dir.file('exit'));
    spares.give(dir.path);
    assert.equal(dir.exists(), false);
    assert.deepEqual(spare(), []);
  });

  it('of an earlier life are removed: they may not have been emptied', () => {
    const plan = planOf('a', { command: 'true' });
    const dir = new RunDir(root, plan.run);
    dir.create(plan, 'boot', spares);
    spares.give(dir.path);
    assert.equal(spare().length, 1);
    new SpareDirs(join(root, 'spare')).open();
    assert.deepEqual(spare(), []);
  });

  it('keep the output of a run from what a daemon of an earlier one still writes', async () => {
    const host = await new RunnerHost({}).adopt();
    try {
      const leaves = 'mkfifo go said; (read x <go; echo late; echo >said) & exit 0';
      const daemon = await host.begin('daemon', { command: leaves });
      await host.ended(daemon);
      await host.runner.forget(daemon);
      assert.equal(readdirSync(join(host.dir, 'spare')).length, 1);
      const next = await host.begin('next', { command: 'echo >go; read x <said; echo mine' });
      const { bytes } = await host.ended(next);
      assert.equal(bytes, 'mine\n'.length);
      assert.equal(readFileSync(join(host.dir, 'runs', next, 'output'), 'utf8'), 'mine\n');
    } finally {
      await host.close();
    }
  });
});
