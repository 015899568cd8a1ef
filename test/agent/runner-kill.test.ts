import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { RunEnd } from '#agent/runner.ts';
import type { Clock } from '#core/ports/clock.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { until } from '#test/until.ts';
import { type Given, isAlive, planOf, RunnerHost, readProc, tagged } from './runner-host.ts';

/** Prints its pid and waits, with what precedes it in its way. */
const sleeper = (name: string) => `echo ${name} $$; exec sleep 300`;
const deaf = (name: string) => `trap '' TERM; echo ${name} $$; while :; do sleep 300; done`;
const pids = (text: string) => [...text.matchAll(/^\S+ (\d+)$/gm)].map(([, pid]) => Number(pid));

for (const cgroups of [undefined, 'none'] as const)
  describe(`runner: the kill ladder ${cgroups === undefined ? 'with what this host has' : 'without cgroups'}`, () => {
    let host: RunnerHost;
    let bystander = '';
    let timeUp = () => {};
    const kill = (run: string, signal = 'TERM', graceMs = 200) => host.runner.kill(run, { signal, graceMs });
    /** Begins it, waits until all that it starts has said so, kills it; what must be dead is, and the bystander lives. */
    async function killed(name: string, command: string, saying: string[], graceMs?: number) {
      const run = await host.begin(name, { command });
      for (const wanted of saying) await host.ledger.says(run, `${wanted} `);
      const report = await kill(run, 'TERM', graceMs);
      const end = await host.ended(run);
      assert.equal(end.how, 'killed');
      assert.deepEqual(tagged(run), []);
      const started = pids(host.ledger.text(run));
      assert.ok(started.length >= saying.length);
      assert.deepEqual(started.filter(isAlive), []);
      assert.ok(report.started && report.signalledAt <= report.confirmedAt);
      assert.ok(end.endedAt >= report.signalledAt, 'what was killed had not ended before');
      assert.notDeepEqual(tagged(bystander), [], 'another run was touched');
      return { report, end };
    }
    /** Its time is over once it has said that it is up, and so has set its traps; how it ended. */
    async function timedOut(name: string, given: Given): Promise<RunEnd> {
      const run = await host.begin(name, { ...given, timeout: '1h' });
      await host.ledger.says(run, 'up ');
      timeUp();
      return await host.ended(run);
    }
    before(async () => {
      const real = systemClock();
      // A timeout of an hour is over when a test says so.
      const after: Clock['after'] = (ms, fn) => {
        if (ms < 3_000_000) return real.after(ms, fn);
        timeUp = fn;
        return () => {};
      };
      host = await new RunnerHost({
        clock: { ...real, after },
        ...(cgroups === undefined ? {} : { cgroups }),
      }).adopt();
      bystander = await host.begin('bystander', { command: sleeper('up') });
      await host.ledger.says(bystander, 'up ');
    });
    after(() => host.close());

    it('asks first: who ends by TERM is not shot, and its own words are kept', async () => {
      const run = await host.begin('polite', {
        command: "trap 'echo bye; exit 5' TERM; echo up $$; while :; do sleep 0.05; done",
      });
      await host.ledger.says(run, 'up ');
      const report = await kill(run, 'TERM', 60_000);
      const end = await host.ended(run);
      assert.deepEqual([end.how, end.exitCode, end.signal], ['killed', 5, null]);
      assert.match(host.ledger.text(run), /bye\n$/);
      assert.equal(report.started, true);
    });

    it('tells the signal that ended it', async () => {
      const { end } = await killed('simple', sleeper('up'), ['up'], 60_000);
      assert.deepEqual([end.exitCode, end.signal], [null, 'TERM']);
      const run = await host.begin('interrupted', { command: sleeper('up') });
      await host.ledger.says(run, 'up ');
      await kill(run, 'INT', 60_000);
      assert.equal((await host.ended(run)).signal, 'INT');
    });

    it('touches no run of another agent on this host, though their ids be the same', async () => {
      const other = await new RunnerHost(cgroups === undefined ? {} : { cgroups }).adopt();
      try {
        const [mine, theirs] = [
          await host.begin('twin', { command: sleeper('up') }),
          await other.begin('twin', { command: sleeper('up') }),
        ];
        assert.equal(mine, theirs);
        await host.ledger.says(mine, 'up ');
        await other.ledger.says(theirs, 'up ');
        await kill(mine);
        await host.ended(mine);
        assert.deepEqual(pids(host.ledger.text(mine)).filter(isAlive), []);
        assert.equal(pids(other.ledger.text(theirs)).filter(isAlive).length, 1);
      } finally {
        await other.close();
      }
    });

    it('shoots who ignores TERM when its grace is over', async () => {
      const { report, end } = await killed('deaf', deaf('up'), ['up']);
      assert.ok(report.confirmedAt - report.signalledAt >= 200);
      assert.equal(end.signal, 'KILL');
    });

    it('wakes who is stopped, so that it can end', async () => {
      const run = await host.begin('stopped', {
        command: "trap 'echo bye; exit' TERM; echo up $$; kill -STOP $$; while :; do sleep 0.05; done",
      });
      await host.ledger.says(run, 'up ');
      const [pid = 0] = pids(host.ledger.text(run));
      await until('it to be stopped', () => /\) T /.test(readProc(`/proc/${pid}/stat`)));
      await kill(run, 'TERM', 60_000);
      await host.ended(run);
      assert.match(host.ledger.text(run), /bye\n$/);
    });

    it('finds children in sessions of their own, and those that were orphaned twice', async () => {
      await killed(
        'scattered',
        `(setsid sh -c '${sleeper('one')}' &)
         setsid sh -c "trap '' TERM; echo two \\$\\$; while :; do sleep 300; done" &
         (setsid sh -c "(setsid sh -c 'echo three \\$\\$; exec sleep 300' &)" &)
         echo up $$; wait`,
        ['one', 'two', 'three', 'up'],
      );
    });

    it('is done though a grandchild held the output, and hands on what that wrote', async () => {
      const { end } = await killed('held', `(${deaf('held')}) & echo up $$; exit 0 & wait`, ['held', 'up']);
      assert.equal(end.bytes, host.ledger.text('default~held~oheld~1').length);
    });

    it('finds who cleared its environment while its parent lives, or in its own session', async () => {
      await killed(
        'cleared',
        `env -i /bin/sh -c 'echo one $$; exec sleep 300' & setsid env -i /bin/sh -c 'echo two $$; exec sleep 300' & echo up $$; wait`,
        ['one', 'two', 'up'],
      );
    });

    it('outruns a storm of forks', async () => {
      await killed(
        'storm',
        "trap '' TERM; echo up $$; storm() { (trap '' TERM; while :; do sh -c 'sleep 0.01'; done) & }; storm; storm; storm; setsid sh -c 'trap : TERM; while :; do sleep 0.01; done' & wait",
        ['up'],
      );
    });

    it('says with certainty that nothing lives only where a cgroup vouches for it', async () => {
      const run = await host.begin('certain', { command: sleeper('up') });
      await host.ledger.says(run, 'up ');
      const [pid = 0] = pids(host.ledger.text(run));
      const inItsOwn = readProc(`/proc/${pid}/cgroup`).includes(run);
      if (cgroups === 'none') assert.equal(inItsOwn, false);
      const { certain } = await kill(run);
      assert.equal(certain, inItsOwn);
    });

    it('catches in its cgroup who left session and environment both', async () => {
      const run = await host.begin('escaped', {
        command: `setsid env -i /bin/sh -c '(setsid sh -c "echo gone \\$\\$; exec sleep 300" &)'; echo up $$; exec sleep 300`,
      });
      await host.ledger.says(run, 'gone ');
      await host.ledger.says(run, 'up ');
      const report = await kill(run);
      const left = pids(host.ledger.text(run)).filter(isAlive);
      // It is this test's own to end.
      for (const pid of left) process.kill(pid, 'SIGKILL');
      assert.ok(!report.certain || left.length === 0, 'what got away must never be called certain');
    });

    it('ends what is left of a run whose wrapper somebody shot', async () => {
      const run = await host.begin('orphaned', {
        command: `(setsid sh -c '${sleeper('one')}' &); trap '' TERM; echo up $$; kill -9 $PPID; while :; do sleep 300; done`,
        killGrace: '200ms',
      });
      const end = await host.ended(run);
      assert.deepEqual([end.how, end.exitCode], ['vanished', null]);
      assert.equal(end.reason, 'its wrapper was ended by SIGKILL, and what was left of it with it');
      assert.deepEqual(tagged(run), []);
      assert.notDeepEqual(tagged(bystander), []);
    });

    it('asked twice is the same as once', async () => {
      const run = await host.begin('twice', { command: deaf('up') });
      await host.ledger.says(run, 'up ');
      const [first, second] = await Promise.all([kill(run), kill(run)]);
      assert.deepEqual(first, second);
      assert.equal((await host.ended(run)).how, 'killed');
    });

    it('ends by the same ladder what takes longer than it may, not before', async () => {
      const end = await host.run('slow', { command: 'exec sleep 300', timeout: '150ms' });
      assert.deepEqual([end.how, end.exitCode, end.signal], ['timed_out', null, 'TERM']);
      assert.ok(end.startedAt !== null && end.endedAt - end.startedAt >= 150);
      assert.deepEqual(tagged('default~slow~oslow~1'), []);
      const stubborn = await timedOut('stubborn', { command: deaf('up'), killGrace: '100ms' });
      assert.deepEqual([stubborn.how, stubborn.exitCode, stubborn.signal], ['timed_out', null, 'KILL']);
      assert.deepEqual(tagged('default~stubborn~ostubborn~1'), []);
      const kept = await timedOut('kept-word', {
        command: "trap 'exit 4' TERM; echo up $$; while :; do sleep 0.05; done",
      });
      assert.deepEqual([kept.how, kept.exitCode], ['timed_out', 4]);
    });

    it('leaves alone what had ended by itself, though its time was over before its agent heard of that', async () => {
      const go = join(host.dir, 'go');
      const run = await host.begin('in-time', {
        command: `until [ -e ${go} ]; do sleep 0.02; done; exit 3`,
        timeout: '1h',
      });
      await host.until('its start', () => host.starts.has(run));
      writeFileSync(go, '');
      const exit = join(host.dir, 'runs', run, 'exit');
      // Nothing else of this process comes to its turn until the command has ended, and then the timer is the first.
      const waited = spawnSync('/bin/sh', ['-c', `until [ -s ${exit} ]; do sleep 0.02; done`], {
        timeout: 60_000,
      });
      assert.equal(waited.status, 0);
      timeUp();
      const end = await host.ended(run);
      assert.deepEqual([end.how, end.exitCode], ['exited', 3]);
    });

    it('uses the signal that the job names for its timeout', async () => {
      const end = await timedOut('by-int', {
        command: "trap 'echo asked; exit 1' INT; echo up $$; while :; do sleep 0.05; done",
        killSignal: 'INT',
      });
      assert.equal(end.how, 'timed_out');
      assert.match(host.ledger.text('default~by-int~oby-int~1'), /asked\n$/);
    });

    it('confirms at once for a run that never was', async () => {
      const { started } = await host.runner.kill(planOf('never', { command: 'x' }).run, {
        signal: 'TERM',
        graceMs: 60_000,
      });
      assert.equal(started, false);
    });
  });
