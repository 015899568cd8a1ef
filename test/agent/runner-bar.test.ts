import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { bar } from '#agent/runner/bar.ts';
import { createProcesses, isStopped } from '#agent/runner/processes.ts';
import { systemClock } from '#core/ports/system-clock.ts';

const run = 'default~bar~20261122T163500.000Z~1';

/** A process that stands for a wrapper, and what `bar` makes of it where the marker says this once it stands still. */
async function barred(startedAt: number | null): Promise<{ never: boolean; lives: boolean }> {
  const child = spawn('sleep', ['60'], { stdio: 'ignore', env: { ...process.env, CRON_RUN_ID: run } });
  const gone = once(child, 'exit');
  try {
    await once(child, 'spawn');
    const { pid = 0 } = child;
    let stoodStill = false;
    const dir = {
      startedAt() {
        stoodStill = isStopped(pid);
        return startedAt;
      },
    };
    const processes = createProcesses(systemClock(), () => '');
    const never = await bar(dir, run, await processes.list(), processes);
    assert.ok(stoodStill, 'its marker is looked at while it can do nothing');
    if (never) await gone;
    return { never, lives: child.exitCode === null && child.signalCode === null && !isStopped(pid) };
  } finally {
    child.kill('SIGKILL');
    await gone;
  }
}

describe('a wrapper that an earlier agent let go', () => {
  it('is ended for good as long as it has not started its command', async () => {
    assert.deepEqual(await barred(null), { never: true, lives: false });
  });
  it('goes on where it started in the last moment: killed, it would leave no exit status', async () => {
    assert.deepEqual(await barred(1), { never: false, lives: true });
  });
});
