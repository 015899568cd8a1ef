import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { FoundRun } from '#agent/runner.ts';
import type { Clock } from '#core/ports/clock.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { until } from '#test/until.ts';
import { goneAll, planOf, RunnerHost, runnerFolder, shoot, tagged } from './runner-host.ts';

const { run, gate } = planOf('job', { command: 'x' });
/** Says one, waits for a file, says two, ends with 7; stamps its start first. */
const command =
  'echo start >> "$HOME/stamps"; echo one; until [ -e "$HOME/go" ]; do sleep 0.02; done; echo two; exit 7';
let dir = '';
let hosts: RunnerHost[] = [];

/** An agent killed with -9 after the step. */
async function killedAfter(step: string): Promise<void> {
  const script = new URL('runner-child.ts', import.meta.url).pathname;
  const child: ChildProcess = spawn(process.execPath, [script, dir, step, command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  const [said] = await Promise.race([once(child.stdout ?? child, 'data'), gone]);
  assert.equal(String(said), 'there\n');
  child.kill('SIGKILL');
  await gone;
}

async function next(): Promise<{ host: RunnerHost; found: FoundRun | undefined }> {
  const host = await new RunnerHost({}, dir).adopt();
  hosts.push(host);
  return { host, found: host.found[0] };
}

const go = () => writeFileSync(join(dir, 'go'), '');
const stamps = () => (existsSync(join(dir, 'stamps')) ? readFileSync(join(dir, 'stamps'), 'utf8') : '');
const file = (name: string) => join(dir, 'runs', run, name);

/** Armed, claimed and released again, as the planner does with what has not started. */
async function startAgain(host: RunnerHost): Promise<void> {
  const plan = planOf('job', { command, stdin: 'fed' });
  assert.equal(await host.arm(plan), null);
  await host.claim(plan);
  await host.release(gate);
  go();
  const end = await host.ended(run);
  assert.deepEqual([end.how, end.exitCode, host.ledger.text(run)], ['exited', 7, 'one\ntwo\n']);
  assert.equal(stamps(), 'start\n');
}

describe('runner: what a killed agent leaves, the next one takes up', () => {
  beforeEach(() => {
    dir = runnerFolder('adopt');
    hosts = [];
  });
  afterEach(async () => {
    for (const host of hosts) await host.close();
    // What no agent took up, where a test did not come that far.
    shoot(run);
    rmSync(dir, { recursive: true, force: true });
  });

  it('armed: nothing starts, and it may be armed anew', async () => {
    await killedAfter('arm');
    const { host, found } = await next();
    assert.deepEqual([found?.phase, found?.fence, found?.startedAt], ['armed', null, null]);
    await goneAll(run);
    assert.equal(stamps(), '');
    await startAgain(host);
  });

  it('claimed: nothing starts by itself, and fence and plan are known', async () => {
    await killedAfter('claim');
    const { host, found } = await next();
    assert.deepEqual([found?.phase, found?.fence, found?.plan.job.stdin], ['claimed', '7', 'fed']);
    assert.ok(found?.claimedAt !== null);
    await goneAll(run);
    assert.equal(stamps(), '');
    await startAgain(host);
  });

  it('released: it has started or it never will, and the next agent knows which', async () => {
    for (let round = 0; round < 5; round += 1) {
      await killedAfter('release');
      const { host, found } = await next();
      if (found?.phase === 'claimed') await startAgain(host);
      else {
        assert.equal(found?.phase, 'running');
        go();
        assert.equal((await host.ended(run)).exitCode, 7);
        assert.equal(stamps(), 'start\n');
      }
      await host.close();
      hosts.pop();
    }
  });

  it('started: it lives on, its output is whole and its status known', async () => {
    await killedAfter('output');
    const { host, found } = await next();
    assert.deepEqual([found?.phase, found?.fence], ['running', '7']);
    assert.equal(host.runner.count(), 1);
    go();
    const end = await host.ended(run);
    assert.deepEqual([end.how, end.exitCode, end.bytes, end.startedAt], ['exited', 7, 8, found?.startedAt]);
    assert.equal(host.ledger.text(run), 'one\ntwo\n');
    assert.equal(stamps(), 'start\n');
  });

  for (const [what, write] of [
    [
      'instant',
      (instant: number) => {
        const written = JSON.parse(readFileSync(file('run.json'), 'utf8'));
        writeFileSync(file('run.json'), JSON.stringify({ ...written, plan: { ...written.plan, instant } }));
      },
    ],
    ['claim', (claimedAt: number) => writeFileSync(file('claimed'), `7\n3 ${claimedAt}\n`)],
  ] as const)
    it(`started by a coarse clock before its ${what}: it is said to have started at that`, async () => {
      await killedAfter('output');
      const at = Math.floor(statSync(file('started')).mtimeMs) + 15;
      write(at);
      const { host, found } = await next();
      assert.deepEqual([found?.phase, found?.startedAt], ['running', at]);
      go();
      const end = await host.ended(run);
      assert.deepEqual([end.startedAt, end.endedAt >= at], [at, true]);
    });

  it('ended while nobody looked: end, status and output are told', async () => {
    await killedAfter('output');
    go();
    await until('its exit', () => readFileSync(file('exit'), 'utf8'));
    await goneAll(run);
    const { host, found } = await next();
    assert.deepEqual([found?.phase, found?.end?.how, found?.end?.exitCode], ['ended', 'exited', 7]);
    assert.deepEqual([found?.end?.bytes, found?.end?.tail], [8, 'one\ntwo\n']);
    assert.equal(host.ledger.text(run), 'one\ntwo\n');
    assert.equal(host.runner.count(), 0);
    assert.equal(host.ends.size, 0, 'what had ended before is told by adopt, not by an event');
  });

  it('ended, but not forgotten: told again, and gone once it is forgotten', async () => {
    go();
    await killedAfter('end');
    const { host, found } = await next();
    assert.equal(found?.end?.exitCode, 7);
    await host.runner.forget(run);
    await host.restart();
    assert.deepEqual(host.found, []);
  });

  it('kills what it has adopted, and times it out by its old start', async () => {
    await killedAfter('output');
    const { host } = await next();
    const report = await host.runner.kill(run, { signal: 'TERM', graceMs: 10_000 });
    assert.equal(report.started, true);
    assert.equal((await host.ended(run)).how, 'killed');
    assert.deepEqual(tagged(run), []);
  });

  it('times out an adopted run by its old start', async () => {
    const real = systemClock();
    let passedMs = 0;
    // A timeout of an hour is over when the test says so.
    const rests: number[] = [];
    let timeUp = () => {};
    const after: Clock['after'] = (ms, fn) => {
      if (ms < 600_000) return real.after(ms, fn);
      rests.push(ms);
      timeUp = fn;
      return () => {};
    };
    const clock = { ...real, now: () => real.now() + passedMs, after };
    const host = await new RunnerHost({ clock }, dir).adopt();
    hosts.push(host);
    const slow = await host.begin('slow', { command: 'echo up; exec sleep 300', timeout: '1h' });
    await host.ledger.says(slow, 'up');
    passedMs = 1_800_000;
    await host.restart();
    assert.equal(host.found[0]?.phase, 'running');
    const [, rest = 0] = rests;
    assert.ok(rest > 600_000 && rest <= 1_800_000, `${rests} ms`);
    timeUp();
    assert.equal((await host.ended(slow)).how, 'timed_out');
  });

  it('ended by its timeout while nobody looked: no coarse clock of files says that it was before that', async () => {
    go();
    await killedAfter('end');
    const start = Math.floor(statSync(file('started')).mtimeMs);
    const written = JSON.parse(readFileSync(file('run.json'), 'utf8'));
    const job = { ...written.plan.job, timeout: '700ms' };
    writeFileSync(file('run.json'), JSON.stringify({ ...written, plan: { ...written.plan, job } }));
    writeFileSync(file('ending'), 'timed_out');
    const { startedAt } = (await next()).found ?? {};
    assert.ok(startedAt != null && startedAt >= start);
    for (const [stampedMs, tookMs] of [
      [695, 700],
      [712, 712],
    ] as const) {
      await hosts.pop()?.runner.stop();
      utimesSync(file('exit'), (startedAt + stampedMs) / 1_000, (startedAt + stampedMs) / 1_000);
      const { found } = await next();
      assert.deepEqual([found?.end?.how, (found?.end?.endedAt ?? 0) - startedAt], ['timed_out', tookMs]);
    }
  });

  it('is called killed though the agent that signalled it was gone by its end', async () => {
    const host = await new RunnerHost({}, dir).adopt();
    hosts.push(host);
    const slow = await host.begin('slow', {
      command: `trap 'echo bye; until [ -e "$HOME/go" ]; do sleep 0.02; done; exit 143' TERM; echo up; while :; do sleep 0.02; done`,
    });
    await host.ledger.says(slow, 'up\n');
    void host.runner.kill(slow, { signal: 'TERM', graceMs: 60_000 });
    await host.ledger.says(slow, 'bye\n');
    await host.restart();
    assert.equal(host.found[0]?.phase, 'running');
    go();
    const end = await host.ended(slow);
    assert.deepEqual([end.how, end.exitCode, end.signal], ['killed', null, 'TERM']);
  });

  it('vanished: the wrapper was killed, no status is left, and it is noticed soon', async () => {
    await killedAfter('output');
    const { host } = await next();
    shoot(run);
    const at = host.clock.boot();
    const end = await host.ended(run);
    assert.deepEqual([end.how, end.exitCode, host.ledger.text(run)], ['vanished', null, 'one\n']);
    // No promise has a number for it: four looks at an idle host, and by no means never.
    assert.ok(host.clock.boot() - at < 10_000);
  });

  it('ends what is left of a run whose wrapper was shot while nobody looked', async () => {
    await killedAfter('output');
    process.kill(Number(readFileSync(file('started'), 'utf8')), 'SIGKILL');
    const { host, found } = await next();
    assert.equal(found?.phase, 'running');
    assert.equal((await host.ended(run)).how, 'vanished');
    assert.deepEqual(tagged(run), []);
  });

  it('is not taken in by a recycled pid', async () => {
    await killedAfter('output');
    shoot(run);
    await goneAll(run);
    writeFileSync(file('started'), `${process.pid}\n`);
    const { found } = await next();
    assert.deepEqual([found?.phase, found?.end?.how], ['ended', 'vanished']);
  });

  it('never starts again what may have started before the host went down', async () => {
    await killedAfter('claim');
    const written = JSON.parse(readFileSync(file('run.json'), 'utf8'));
    writeFileSync(file('run.json'), JSON.stringify({ ...written, boot: 'an earlier one' }));
    const { found } = await next();
    assert.deepEqual([found?.phase, found?.end?.how, found?.startedAt], ['ended', 'vanished', null]);
  });

  it('tells what had ended before the host went down', async () => {
    go();
    await killedAfter('end');
    const written = JSON.parse(readFileSync(file('run.json'), 'utf8'));
    writeFileSync(file('run.json'), JSON.stringify({ ...written, boot: 'an earlier one' }));
    const { found } = await next();
    assert.deepEqual([found?.end?.how, found?.end?.exitCode], ['exited', 7]);
  });

  it('never lets a wrapper start that was asleep when its agent died, though it had been let go', async () => {
    await killedAfter('asleep');
    const { host, found } = await next();
    assert.equal(found?.phase, 'claimed');
    // Only what was killed can go while it sleeps.
    await goneAll(run);
    assert.equal(stamps(), '');
    await startAgain(host);
  });

  it('sets aside what it cannot read, says so, and takes up the rest', async () => {
    await killedAfter('output');
    for (const [name, text] of [
      ['torn', '{"boot":"x","plan":{"run":"to'],
      ['other', readFileSync(file('run.json'), 'utf8')],
    ] as const) {
      mkdirSync(join(dir, 'runs', name));
      writeFileSync(join(dir, 'runs', name, 'run.json'), text);
    }
    writeFileSync(join(dir, 'runs', 'stray'), 'a file');
    mkdirSync(join(dir, 'runs', 'begun'));
    // Their names reached the disk before a power cut, and what was written last did not.
    for (const [name, claim] of [
      ['emptied', ''],
      ['claimed', '7\n3 5\n'],
    ] as const) {
      mkdirSync(join(dir, 'runs', name));
      for (const empty of ['run.json', 'output', 'started'])
        writeFileSync(join(dir, 'runs', name, empty), '');
      writeFileSync(join(dir, 'runs', name, 'claimed'), claim);
    }
    const { host } = await next();
    assert.deepEqual(
      host.found.map(({ phase }) => phase),
      ['running'],
    );
    assert.deepEqual(readdirSync(join(dir, 'damaged')).sort(), ['claimed', 'other', 'torn']);
    assert.equal(host.events.filter(({ type }) => type === 'spool.damaged').length, 3);
    assert.deepEqual(readdirSync(join(dir, 'runs')), [run]);
  });

  it('lets a run live through a stop in good order, with what it writes meanwhile', async () => {
    const host = await new RunnerHost({}, dir).adopt();
    hosts.push(host);
    const living = await host.begin('living', { command });
    await host.ledger.says(living, 'one\n');
    await host.restart();
    assert.equal(host.found[0]?.phase, 'running');
    go();
    const end = await host.ended(living);
    assert.deepEqual([end.exitCode, host.ledger.text(living)], [7, 'one\ntwo\n']);
  });
});
