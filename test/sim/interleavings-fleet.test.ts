import { describe } from 'node:test';
import { setDrain } from '#core/cluster/workers.ts';
import type { Txn } from '#core/ports/kv.ts';
import type { Rig } from './rig.ts';
import { broken, row } from './row.ts';
import type { Mistakes } from './sim-agent.ts';
import { changed, without } from './tampering.ts';
import { epoch } from './world.ts';

function living(rig: Rig): number {
  return rig.hosts
    .flatMap(({ processes }) => [...processes.values()])
    .filter(({ state }) => state === 'running').length;
}

/** Rows 4, 7 and 11 are found by exploring the smallest fleet: model.test.ts. */
describe('interleavings that broke the protocol once, of more than one worker', () => {
  row('6: what must not live beside the next run dies with the lease of its worker', async (rig, remedy) => {
    const onLeaseLoss = remedy ? 'kill' : 'continue';
    await rig.save({
      command: 'sim 90000-90000 0',
      onLeaseLoss,
      killGrace: '1s',
      schedule: '*/30 * * * * *',
    });
    for (let i = 0; i < 2; i += 1) rig.agent(rig.host());
    await rig.until(31);
    for (const { life } of rig.agents) if (life.host.processes.size > 0) life.kill();
    await rig.until(70);
    return living(rig) > 1 ? `${living(rig)} live at once` : null;
  });

  row('8: a store that was away for longer than the leases has no living run closed', async (rig, remedy) => {
    // The mistake: who registers anew does not adopt what runs.
    const never = { key: 'nothing', target: 'version' as const, op: '>' as const, version: 0 };
    const adopts = ({ compare, then }: Txn) =>
      compare.length === 1 &&
      then.length === 1 &&
      then[0]?.type === 'put' &&
      then[0].key.startsWith(rig.layout.running);
    const tamper: Mistakes['tamper'] = (txn) =>
      changed(txn, (op) =>
        op.type === 'txn' && adopts(op.txn)
          ? { ...op, txn: { ...op.txn, compare: [...op.txn.compare, never] } }
          : op,
      );
    // One on each, since whoever sweeps sees to its own.
    for (const name of ['w0', 'w1', 'w2'])
      await rig.save({ name, command: 'sim 240000-240000 0', target: { workers: [name] } });
    for (let i = 0; i < 3; i += 1) rig.agent(rig.host(), remedy ? {} : { tamper });
    await rig.until(12);
    for (const host of rig.hosts) host.cutOff('cut');
    await rig.until(27);
    for (const host of rig.hosts) host.mend();
    await rig.until(245);
    const lost = [...rig.history.records.values()].find(({ state }) => state === 'lost');
    return lost === undefined ? null : `${lost.id} is called lost, and lives`;
  });

  row('15: a worker that is drained while its claim is under way has not claimed', async (rig, remedy) => {
    await rig.save({ schedule: '* * * * * *', command: 'sim 10-10 0' });
    const tamper: Mistakes['tamper'] = (txn) => without(txn, ({ key }) => !key.startsWith(rig.layout.drains));
    rig.agent(rig.host(), remedy ? {} : { tamper });
    await rig.until(5);
    rig.weather.latencyMs = 60;
    await rig.until(9.81);
    await setDrain(rig.store, rig.layout, 'w0', { by: 'test', at: rig.world.utc });
    await rig.until(15);
    return broken(rig, 'P13');
  });

  row('16: a deputy whose clock is five seconds fast does not run anything early', async (rig, remedy) => {
    await rig.save();
    for (let i = 0; i < 2; i += 1) {
      const host = rig.host();
      if (i === 1) host.step(5_000);
      rig.agent(host, {}, remedy);
    }
    await rig.until(45);
    return broken(rig, 'P4');
  });

  row('17: zone data of its own does not have a worker run a local time once more', async (rig, remedy) => {
    // Local 22:21 is a minute away in Kathmandu; who believes it to lie fifteen minutes further west finds it later.
    await rig.save({ schedule: '0 21 22 * * *', timezone: 'Asia/Kathmandu' });
    const west: Mistakes['hears'] = (event) =>
      JSON.parse(JSON.stringify(event).replaceAll('Asia/Kathmandu', 'Asia/Kolkata'));
    for (let i = 0; i < 3; i += 1)
      rig.agent(rig.host(), i === 2 ? { hears: west } : {}, false, {
        tzdata: i === 2 && remedy ? '2019c' : '2026a',
      });
    await rig.until(1_000);
    const started = rig.stamps.map(({ plan }) => ((plan.instant ?? 0) - epoch) / 1_000);
    return started.length === 1
      ? null
      : `it ran ${started.length} times, ${started.join(' and ')} s after the beginning`;
  });
});
