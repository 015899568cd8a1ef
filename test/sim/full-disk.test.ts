import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Rig } from './rig.ts';

let rig: Rig;

describe('an agent whose disk is full', () => {
  beforeEach(() => {
    rig = new Rig();
  });
  afterEach(() => rig.end());

  it('registers anew after its lease was lost, and goes on when there is room', async () => {
    await rig.save();
    const host = rig.host();
    rig.agent(host);
    await rig.until(12);
    host.diskFull = true;
    host.suspend(15_000);
    await rig.until(45);
    assert.deepEqual(rig.crashes, []);
    host.diskFull = false;
    await rig.until(65);
    assert.deepEqual(rig.crashes, []);
    assert.equal(rig.state(rig.run(60)), 'succeeded');
  });

  it('leaves no registration behind that its next start could not take down', async () => {
    await rig.save({ command: 'sim 30000-30000 0' });
    const host = rig.host();
    const first = rig.agent(host);
    await rig.until(12);
    host.diskFull = true;
    const stopping = first.stop();
    await rig.until(13);
    await stopping;
    host.diskFull = false;
    rig.agent(host);
    await rig.until(75);
    assert.deepEqual(rig.crashes, []);
    assert.equal(rig.state(rig.run(10)), 'succeeded');
    assert.equal(rig.starts(rig.run(10)), 1);
  });
});
