import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { uptimeText, wrapperText } from '#agent/runner/wrapper.ts';
import { until } from '#test/until.ts';
import { isAlive, planOf, RunnerHost, tagged } from './runner-host.ts';

let host: RunnerHost;
const stamp = (name: string) => join(host.dir, `stamp-${name}`);
/** A run that leaves a stamp, at the gate. */
const stamper = (name: string, gate: string) => planOf(name, { command: `: > ${stamp(name)}`, gate });

describe('runner: armed, claimed, released', () => {
  before(async () => {
    host = await new RunnerHost().adopt();
  });
  after(() => host.close());

  it('releases every claimed run of a gate at once, and none that is not claimed', async () => {
    const claimed = ['a', 'b', 'c'].map((name) => stamper(name, 'many'));
    const unclaimed = stamper('lost-its-claim', 'many');
    for (const plan of [...claimed, unclaimed]) assert.equal(await host.arm(plan), null);
    for (const plan of claimed) await host.claim(plan);
    const at = host.clock.now();
    await host.release('many');
    const ends = await Promise.all(claimed.map(({ run }) => host.ended(run)));
    for (const { how, exitCode, startedAt } of ends) {
      assert.deepEqual([how, exitCode], ['exited', 0]);
      assert.ok(startedAt !== null && startedAt >= at, 'no start before its release');
    }
    const end = await host.ended(unclaimed.run);
    assert.deepEqual([end.how, end.startedAt, end.exitCode], ['not_started', null, null]);
    assert.match(end.reason, /claim/);
    assert.equal(existsSync(stamp('lost-its-claim')), false);
  });

  it('of many at once tells no end before all have started, unless that takes long: starts go first', async () => {
    const plans = Array.from({ length: 20 }, (_, n) => stamper(`burst-${n}`, 'burst'));
    for (const plan of plans) {
      await host.arm(plan);
      await host.claim(plan);
    }
    const at = host.clock.boot();
    await host.release('burst');
    await host.until('the first end', () => plans.some(({ run }) => host.ends.has(run)));
    const tookMs = host.clock.boot() - at;
    const begun = plans.filter(({ run }) => host.starts.has(run)).length;
    assert.ok(begun === plans.length || tookMs >= 400, `${begun} of ${plans.length} after ${tookMs} ms`);
    for (const { run } of plans) assert.equal((await host.ended(run)).how, 'exited');
  });

  it('starts nothing before the release, claimed or not', async () => {
    const plan = stamper('waits', 'later');
    await host.arm(plan);
    await host.claim(plan);
    // A whole run beside it: time enough for a wrapper that does not wait.
    await host.run('beside', { command: 'sleep 0.1' });
    assert.equal(existsSync(stamp('waits')), false);
    await host.release('later');
    await host.ended(plan.run);
    assert.equal(existsSync(stamp('waits')), true);
  });

  it('un-armed and killed at once, it has one end: nothing was started, or its end is told', async () => {
    for (const [at, order] of ['kill first', 'un-arm first', 'kill first', 'un-arm first'].entries()) {
      const plan = stamper(`both-${at}`, `both-${at}`);
      await host.arm(plan);
      await host.claim(plan);
      // Released, it may start any moment; armed, it stands still.
      const released = at >= 2 ? host.release(plan.gate) : Promise.resolve();
      const disarm = () => host.runner.disarm(plan.run);
      const kill = () => host.runner.kill(plan.run, { signal: 'TERM', graceMs: 10_000 });
      const first = order === 'kill first' ? kill() : disarm();
      const second = order === 'kill first' ? disarm() : kill();
      const [one, other] = await Promise.all([first, second, released]);
      const report = [one, other].find((answer) => typeof answer === 'object');
      if (report?.started) assert.notEqual((await host.ended(plan.run)).how, 'not_started', order);
      else assert.deepEqual(tagged(plan.run), [], order);
    }
  });

  it("starts nothing once the lease's deadline has passed by boot time", async () => {
    const plan = stamper('too-late', 'late');
    await host.arm(plan);
    await host.claim(plan);
    await host.release('late', -1);
    const end = await host.ended(plan.run);
    assert.equal(end.how, 'not_started');
    assert.match(end.reason, /lease/);
    assert.equal(existsSync(stamp('too-late')), false);
  });

  it('un-arms: no process, no directory, no start, no end', async () => {
    const plan = stamper('disarmed', 'off');
    await host.arm(plan);
    await host.claim(plan);
    assert.notDeepEqual(tagged(plan.run), []);
    assert.equal(await host.runner.disarm(plan.run), true);
    assert.deepEqual(tagged(plan.run), []);
    await host.release('off');
    assert.equal(await host.runner.disarm(plan.run), false);
    assert.equal(existsSync(join(host.dir, 'runs', plan.run)), false);
    assert.deepEqual([existsSync(stamp('disarmed')), host.ends.has(plan.run)], [false, false]);
  });

  it('leaves the rest of a gate armed when one is un-armed', async () => {
    const [stays, goes] = [stamper('stays', 'shared'), stamper('goes', 'shared')];
    await host.arm(stays);
    await host.arm(goes);
    await host.runner.disarm(goes.run);
    await host.claim(stays);
    await host.release('shared');
    assert.equal((await host.ended(stays.run)).how, 'exited');
  });

  it('is too late to un-arm what has started', async () => {
    const run = await host.begin('runs', { command: 'sleep 300' });
    await host.until('its start', () => host.starts.has(run));
    assert.equal(await host.runner.disarm(run), false);
    assert.deepEqual([host.ends.has(run), tagged(run).length > 0], [false, true]);
    await host.runner.kill(run, { signal: 'KILL', graceMs: 0 });
  });

  it('decides a race between un-arming and release for one of the two, always', async () => {
    for (let round = 0; round < 40; round += 1) {
      const plan = stamper(`race-${round}`, `race-${round}`);
      await host.arm(plan);
      await host.claim(plan);
      await host.release(plan.gate);
      const barred = await host.runner.disarm(plan.run);
      if (!barred) await host.ended(plan.run);
      assert.equal(existsSync(stamp(`race-${round}`)), !barred);
      assert.equal(host.ends.has(plan.run), !barred);
    }
  });

  it('is armed anew after it was un-armed, under the same name', async () => {
    const plan = stamper('again', 'again');
    await host.arm(plan);
    await host.runner.disarm(plan.run);
    await host.arm(plan);
    await host.claim(plan);
    await host.release('again');
    assert.equal((await host.ended(plan.run)).how, 'exited');
  });

  it('tells at the release of a wrapper that was killed while it stood armed', async () => {
    const plan = stamper('shot', 'shot');
    const bystander = stamper('bystander', 'shot');
    await host.arm(plan);
    await host.arm(bystander);
    const [wrapper = 0] = tagged(plan.run);
    process.kill(wrapper, 'SIGKILL');
    await host.claim(plan);
    await host.claim(bystander);
    await host.release('shot');
    const end = await host.ended(plan.run);
    assert.deepEqual([end.how, end.exitCode], ['not_started', null]);
    assert.match(end.reason, /SIGKILL/);
    assert.equal((await host.ended(bystander.run)).how, 'exited');
  });

  it('kills what is armed by un-arming it, and what is released with an end of its own', async () => {
    const armed = stamper('kill-armed', 'kill-armed');
    await host.arm(armed);
    await host.claim(armed);
    const report = await host.runner.kill(armed.run, { signal: 'TERM', graceMs: 1_000 });
    assert.deepEqual([report.started, host.ends.has(armed.run)], [false, false]);
    const released = planOf('kill-released', { command: 'sleep 300' });
    await host.arm(released);
    await host.claim(released);
    await host.release(released.gate);
    const second = await host.runner.kill(released.run, { signal: 'TERM', graceMs: 1_000 });
    assert.equal(second.started, true);
    assert.equal((await host.ended(released.run)).how, 'killed');
    assert.deepEqual(tagged(released.run), []);
  });

  it('forgets gates that nobody waits at', () => {
    const left = readdirSync(join(host.dir, 'gates')).filter((name) => name.endsWith('.go.new'));
    assert.deepEqual(left, []);
  });

  it('makes its pipes ahead, many at a time, and takes them away when it stops', async (t) => {
    const other = await new RunnerHost().adopt();
    t.after(() => rmSync(other.dir, { recursive: true }));
    const gates = join(other.dir, 'gates');
    const waiting = () => readdirSync(gates).filter((name) => name.endsWith('.fifo')).length;
    for (let n = 0; n < 40; n += 1) assert.equal(await other.arm(planOf(`n${n}`, { command: 'true' })), null);
    await until('eight to be ready', waiting, (count) => count >= 8);
    await other.runner.stop();
    assert.equal(waiting(), 0);
  });

  it('ends what is armed when it stops, and starts none of it', async (t) => {
    const stopped = await new RunnerHost().adopt();
    t.after(() => rmSync(stopped.dir, { recursive: true }));
    const plan = planOf('armed-at-stop', { command: `: > ${stamp('armed-at-stop')}` });
    await stopped.arm(plan);
    await stopped.claim(plan);
    const [wrapper = 0] = tagged(plan.run);
    await stopped.runner.stop();
    await stopped.runner.disarm(plan.run);
    assert.equal(isAlive(wrapper), false);
    assert.equal(existsSync(stamp('armed-at-stop')), false);
  });
});

describe('runner: the wrapper by itself', () => {
  const shells = [['dash'], ['bash', '--posix'], ['busybox', 'sh']].filter(([name = '']) =>
    ['/bin', '/usr/bin'].some((place) => existsSync(join(place, name))),
  );
  before(async () => {
    host = await new RunnerHost().adopt();
  });
  after(() => host.close());

  /** Runs the text with a pipe that has its end already, on a folder as `make` leaves it. */
  async function wrap(shell: string[], make: (dir: string, go: string) => void): Promise<[number, string]> {
    const dir = join(host.dir, `wrap-${readdirSync(host.dir).length}`);
    mkdirSync(dir);
    make(dir, join(dir, 'go'));
    const [name = '', ...first] = shell;
    const args = [...first, '-c', wrapperText, 'cronfleet', dir, join(dir, 'go'), ''];
    const child = spawn(name, [...args, '/bin/sh', '-c', 'echo "ran by $CRON_FENCE"; exit 9'], {
      stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
    });
    child.stdio[3]?.destroy();
    let text = '';
    child.stdout?.on('data', (data) => {
      text += data;
    });
    const [code] = await once(child, 'close');
    if (existsSync(join(dir, 'exit'))) text += `exit ${readFileSync(join(dir, 'exit'), 'utf8')}`;
    return [code, text];
  }
  const claim = (dir: string) => writeFileSync(join(dir, 'claimed'), '42\n3 0\n');
  const go = (file: string, aheadMs = 600_000) =>
    writeFileSync(file, `${uptimeText(host.clock.boot() + aheadMs)}\n`);

  it('is tried with at least one shell', () => assert.ok(shells.length > 0));
  for (const shell of shells)
    it(`starts the command under ${shell.join(' ')} only if marker, go and deadline stand, and its start can be noted`, async () => {
      const cases: [number, string, (dir: string, file: string) => void][] = [
        [9, 'ran by 42\nexit 9\n', (dir, file) => [claim(dir), go(file)]],
        [125, '', (_, file) => go(file)],
        [125, '', (dir) => claim(dir)],
        [125, '', (dir, file) => [writeFileSync(join(dir, 'claimed'), '42'), go(file)]],
        [125, '', (dir, file) => [claim(dir), writeFileSync(file, '')]],
        [124, '', (dir, file) => [claim(dir), go(file, -20)]],
        [126, '', (dir, file) => [claim(dir), go(file), mkdirSync(join(dir, 'started'))]],
      ];
      for (const [code, text, make] of cases) assert.deepEqual(await wrap(shell, make), [code, text]);
    });
});
