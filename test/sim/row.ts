import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { RunningValue } from '#core/cluster/records.ts';
import { Rig } from './rig.ts';
import { epoch } from './world.ts';

/**
 * Interleavings that broke the first draft of the protocol, each played twice: as it is, and with its remedy taken out. The second
 * must be seen to break, or the row proves nothing. The numbers are those of the design's list.
 */
export function row(name: string, play: (rig: Rig, remedy: boolean) => Promise<string | null>): void {
  it(name, async () => {
    for (const remedy of [true, false]) {
      const rig = new Rig();
      try {
        const breach = await play(rig, remedy);
        if (remedy) assert.equal(breach, null);
        else assert.notEqual(breach, null, 'without its remedy nothing breaks: this row proves nothing');
      } finally {
        await rig.end();
      }
    }
  });
}

export function broken(rig: Rig, ...properties: string[]): string | null {
  return rig.violations(...properties)[0]?.what ?? null;
}

/** A claim that waits for nothing, as the planner would build it. */
export function running(more: Partial<RunningValue> = {}): RunningValue {
  return {
    ...{
      worker: 'w0',
      incarnation: '1',
      state: 'claimed',
      instant: epoch,
      attempt: 1,
      losses: 0,
      covers: null,
    },
    ...{ notBefore: epoch, at: epoch, trigger: 'schedule', order: null, by: null, env: {} },
    ...more,
  };
}
