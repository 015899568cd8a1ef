import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { until } from '#test/until.ts';
import { goneAll, planOf, RunnerHost, readProc, runnerFolder, shoot, tagged } from './runner-host.ts';

const deaf = "trap '' TERM; echo up $$; while :; do sleep 300; done";
const polite = 'echo up $$; exec sleep 300';

/** The wardens of a folder that live. */
function wardensOf(dir: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && readProc(`/proc/${pid}/cmdline`).endsWith(`\0warden\0${dir}\0`));
}

const noWardens = (dir: string) =>
  until(
    'every warden to be gone',
    () => wardensOf(dir),
    ({ length }) => length === 0,
  );
const [ofWard, ofFree] = ['default~ward~oward~1', 'default~free~ofree~1'] as const;

describe('onLeaseLoss: kill', { skip: process.platform === 'linux' ? false : 'agents run on Linux' }, () => {
  let dir: string;
  let hosts: RunnerHost[] = [];
  const make = async () => {
    const host = await new RunnerHost({}, dir).adopt();
    hosts.push(host);
    return host;
  };
  beforeEach(() => {
    dir = runnerFolder('warden');
    hosts = [];
  });
  afterEach(async () => {
    for (const host of hosts) await host.close();
    // What no agent took up, where a test did not come that far.
    for (const run of [ofWard, ofFree]) shoot(run);
    await noWardens(dir);
    rmSync(dir, { recursive: true, force: true });
  });

  it('ends what runs when the lease is not renewed, and touches nothing else', async () => {
    const host = await make();
    const lease = (ms: number) => host.runner.lease(host.clock.boot() + ms);
    lease(60_000);
    const ward = await host.begin('ward', { command: deaf, onLeaseLoss: 'kill', killGrace: '200ms' });
    const free = await host.begin('free', { command: polite });
    for (const run of [ward, free]) await host.ledger.says(run, 'up ');
    assert.equal(wardensOf(dir).length, 1);
    lease(0);
    const end = await host.ended(ward);
    assert.deepEqual([end.how, end.signal], ['cut_off', 'KILL']);
    assert.deepEqual(tagged(ward), []);
    assert.notDeepEqual(tagged(free), []);
  });

  it('has no warden where no run asks for one, and lets it go when the last such run has ended', async () => {
    const host = await make();
    host.runner.lease(host.clock.boot() + 60_000);
    await host.run('plain', { command: 'true' });
    assert.deepEqual(wardensOf(dir), []);
    const ward = await host.begin('ward', { command: 'true', onLeaseLoss: 'kill' });
    const end = await host.ended(ward);
    assert.deepEqual([end.how, end.exitCode], ['exited', 0]);
    await host.runner.forget(ward);
    await host.runner.stop();
    assert.deepEqual(wardensOf(dir), []);
  });

  it('is waited for by an agent that stops, though nothing else keeps that one from its end', () => {
    const script = new URL('warden-stop-child.ts', import.meta.url).pathname;
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, dir], { encoding: 'utf8' });
    assert.deepEqual([status, stdout], [0, 'stopped\n'], stderr);
    assert.deepEqual(wardensOf(dir), []);
  });

  it('starts another warden with the next renewal when somebody shot it', async () => {
    const host = await make();
    host.runner.lease(host.clock.boot() + 60_000);
    const ward = await host.begin('ward', { command: polite, onLeaseLoss: 'kill' });
    await host.ledger.says(ward, 'up ');
    const [shot = 0] = wardensOf(dir);
    process.kill(shot, 'SIGKILL');
    // Until its end has been told to its parent, a renewal finds it there.
    const renewed = () => {
      host.runner.lease(host.clock.boot() + 60_000);
      return wardensOf(dir);
    };
    await until('another warden', renewed, (pids) => pids.length > 0 && !pids.includes(shot));
    host.runner.lease(host.clock.boot());
    assert.equal((await host.ended(ward)).how, 'cut_off');
  });

  it('keeps from starting what stands armed when the lease ends, and not for ever: armed anew it starts', async () => {
    const host = await make();
    host.runner.lease(host.clock.boot() + 60_000);
    const ward = await host.begin('ward', { command: polite, onLeaseLoss: 'kill' });
    const armed = planOf('armed', { command: 'echo started', onLeaseLoss: 'kill' });
    await host.arm(armed);
    await host.claim(armed);
    host.runner.lease(0);
    await host.ended(ward);
    await noWardens(dir);
    await host.release(armed.gate);
    assert.equal((await host.ended(armed.run)).how, 'not_started');
    host.runner.lease(host.clock.boot() + 60_000);
    host.ends.delete(armed.run);
    await host.runner.forget(armed.run);
    assert.equal(
      (await host.run('armed', { command: 'echo started', onLeaseLoss: 'kill' })).text,
      'started\n',
    );
  });

  for (const [name, leaseMs, adopted] of [
    [
      'outlives an agent that is shot: at the end of its lease what asked for it is ended, the rest lives on',
      1_500,
      false,
    ],
    ['leaves alone what the next agent takes up in time, and goes on under its lease', 60_000, true],
  ] as const)
    it(name, async () => {
      const script = new URL('warden-child.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [script, dir, String(leaseMs), deaf], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const gone = once(child, 'exit');
      await Promise.race([once(child.stdout, 'data'), gone]);
      child.kill('SIGKILL');
      await gone;
      if (!adopted) {
        await goneAll(ofWard);
        await noWardens(dir);
      }
      const host = await make();
      assert.notDeepEqual(tagged(ofFree), []);
      const found = host.found.find(({ plan }) => plan.run === ofWard);
      if (!adopted) {
        assert.deepEqual([found?.phase, found?.end?.how], ['ended', 'cut_off']);
        return;
      }
      assert.equal(found?.phase, 'running');
      host.runner.lease(host.clock.boot() + 60_000);
      // The warden of the life before is relieved by ours.
      await until(
        'one warden',
        () => wardensOf(dir),
        ({ length }) => length === 1,
      );
      host.runner.lease(0);
      assert.equal((await host.ended(ofWard)).how, 'cut_off');
      assert.notDeepEqual(tagged(ofFree), []);
    });
});
