import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { findCgroups } from '#agent/runner/cgroup.ts';
import { climb } from '#agent/runner/kill-ladder.ts';
import { createProcesses } from '#agent/runner/processes.ts';
import type { Clock } from '#core/ports/clock.ts';
import { systemClock } from '#core/ports/system-clock.ts';

const run = 'default~ladder~20261122T163500.000Z~1';

/** Goes on by what is waited for, and not beyond `until`: how long the host takes is then nobody's matter. */
function clockUntil(until: number): Clock {
  const { now, after } = systemClock();
  let at = 0;
  return {
    ...{ now, boot: () => at },
    after(ms, fn) {
      at = Math.min(at + ms, until);
      return after(1, fn);
    },
  };
}

it('asks a command that is just being started once it is there, not its wrapper alone, which would keep that for itself', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-ladder-'));
  // As a wrapper does, but between its marker and its command it stands still until a file is there.
  const text = `trap : TERM; until [ -e ${dir}/go ]; do :; done; ( exec sleep 300 ); exit $?`;
  const wrapper = spawn('/bin/sh', ['-c', text], {
    ...{ detached: true, stdio: 'ignore' },
    env: { PATH: process.env.PATH, CRON_RUN_ID: run },
  });
  const gone = once(wrapper, 'exit');
  t.after(async () => {
    wrapper.kill('SIGKILL');
    await gone;
    rmSync(dir, { recursive: true });
  });
  const clock = clockUntil(0);
  const real = createProcesses(clock, () => '');
  let looks = 0;
  const list = async () => {
    const seen = await real.list();
    looks += 1;
    // It has been looked for, and was not there.
    if (looks === 2) writeFileSync(join(dir, 'go'), '');
    return seen;
  };
  const { isOf } = real;
  const ladder = { clock, cgroups: findCgroups(null), processes: { isOf, list } };
  const stop = new AbortController().signal;
  await climb(run, wrapper.pid ?? 0, { signal: 'SIGTERM', graceMs: 60_000 }, { ...ladder, stop });
  assert.deepEqual(await gone, [128 + 15, null]);
});

it('is at KILL when the grace is over, also where a command never gets as far as its own program', {
  timeout: 60_000,
}, async (t) => {
  const wrapper = spawn('/bin/sh', ['-c', 'trap : TERM; echo; while :; do read -r _; done'], {
    ...{ detached: true, stdio: ['pipe', 'pipe', 'ignore'] },
    env: { PATH: process.env.PATH, CRON_RUN_ID: run },
  });
  const gone = once(wrapper, 'exit');
  t.after(async () => {
    wrapper.kill('SIGKILL');
    await gone;
  });
  await once(wrapper.stdout, 'data');
  const graceMs = 10_000;
  const clock = clockUntil(graceMs);
  const ladder = { clock, cgroups: findCgroups(null), processes: createProcesses(clock, () => '') };
  await climb(run, wrapper.pid ?? 0, { signal: 'SIGTERM', graceMs }, { ...ladder, stop: t.signal });
  assert.deepEqual(await gone, [null, 'SIGKILL']);
});
