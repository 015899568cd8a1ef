import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inOrder } from '#agent/in-order.ts';
import type { Runner, RunPlan } from '#agent/runner.ts';

/** A runner that says what it was asked for when it begins, and goes on when it is let. */
function slowRunner() {
  const said: string[] = [];
  const waiting: (() => void)[] = [];
  const pause = () => new Promise<void>((resolve) => waiting.push(resolve));
  const runner = {
    async arm(plans: readonly RunPlan[]) {
      said.push(`arm ${plans.map(({ run }) => run)}`);
      await pause();
      return new Map(plans.map(({ run }) => [run, null]));
    },
    async disarm(run: string) {
      said.push(`disarm ${run}`);
      await pause();
      return true;
    },
  } as unknown as Runner;
  return {
    said,
    runner: inOrder(runner),
    async turn() {
      waiting.shift()?.();
      await new Promise(setImmediate);
    },
  };
}

const plan = (run: string) => ({ run }) as RunPlan;

describe('arming and un-arming in order', () => {
  it('un-arms what is being armed when that is done, and arms it again after that', async () => {
    const { said, runner, turn } = slowRunner();
    const armed = runner.arm([plan('a'), plan('b')]);
    const gone = runner.disarm('b');
    const again = runner.arm([plan('b')]);
    for (let step = 0; step < 4; step += 1) await turn();
    assert.deepEqual(said, ['arm a', 'arm b', 'disarm b', 'arm b']);
    assert.deepEqual([...(await armed).keys()], ['a', 'b']);
    assert.equal(await gone, true);
    assert.deepEqual([...(await again).keys()], ['b']);
  });

  it('lets other runs go their way', async () => {
    const { said, runner, turn } = slowRunner();
    const first = runner.arm([plan('a')]);
    const other = runner.disarm('b');
    assert.deepEqual(said, ['arm a', 'disarm b']);
    for (let step = 0; step < 2; step += 1) await turn();
    await Promise.all([first, other]);
  });
});
