import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { batcher } from '#core/cluster/batch.ts';
import { claimInstant } from '#core/cluster/claim.ts';
import { closeDead } from '#core/cluster/finish.ts';
import { deleteJob, getJob } from '#core/cluster/jobs.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { askKill } from '#core/cluster/kills.ts';
import { orderRun } from '#core/cluster/orders.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun } from '#core/model/run.ts';
import type { Rig } from './rig.ts';
import { broken, row, running } from './row.ts';
import type { Mistakes } from './sim-agent.ts';
import { changed, without } from './tampering.ts';
import { epoch } from './world.ts';

describe('interleavings that broke the protocol once', () => {
  row('1: a save between claim and start does not have the instant run again', async (rig, remedy) => {
    await rig.save();
    rig.agent(rig.host());
    await rig.until(9.9);
    // The mistake: a save that re-schedules by setting the cursor to its own now.
    const key = rig.layout.cursor('default/j', oneLane);
    const cursor = JSON.stringify({ instant: rig.world.utc, from: 'api', why: 'save', run: null });
    const api = rig.api((txn) =>
      remedy ? txn : { ...txn, then: [...txn.then, { type: 'put', key, value: cursor }] },
    );
    const prepared = saveJobLater(rig, api);
    await rig.until(10.5);
    await prepared();
    await rig.until(30);
    return broken(rig, 'P1');
  });

  row(
    '2: a job deleted and made again within a second does not run an instant again',
    async (rig, remedy) => {
      await rig.save();
      const host = rig.host();
      const { life } = rig.agent(host);
      await rig.until(9.7);
      // Both requests are decided before the instant and come through after its run, of which a new life of the agent knows nothing.
      const at = rig.world.utc;
      await rig.until(11);
      life.kill();
      const key = rig.layout.cursor('default/j', oneLane);
      const api = rig.api((txn) => (remedy ? txn : { ...txn, then: [...txn.then, { type: 'delete', key }] }));
      await deleteJob(api, 'default/j', {});
      await rig.save({}, { ...rig.api(), now: () => at });
      rig.agent(host);
      await rig.until(30);
      return rig.starts(rig.run(10)) > 1 ? 'ran twice' : broken(rig, 'P1');
    },
  );

  const sleeps = async (rig: Rig, mistakes: Mistakes): Promise<string | null> => {
    await rig.save({
      guarantee: 'at-least-once',
      command: 'sim 20000-20000 0',
      target: { workers: ['w0', 'w1'] },
    });
    const host = rig.host();
    rig.agent(host, mistakes);
    await rig.until(1);
    const other = rig.host();
    rig.agent(other);
    // Whichever is home: it sleeps between its release and its wrapper's waking, long enough to be given up.
    await untilReleased(rig);
    for (const one of rig.hosts) if (holdsBlocked(one)) one.suspend(60_000);
    await rig.until(120);
    return broken(rig, 'P1');
  };
  row('3: a wrapper that wakes after the lease starts nothing', (rig, remedy) =>
    sleeps(rig, remedy ? {} : { ignoresDeadline: true }),
  );
  row('5: a host that slept does not think its lease good', (rig, remedy) =>
    sleeps(rig, remedy ? {} : { blindToSleep: true }),
  );

  row('9: what is only in the spool of a host that burns is owed by the store', async (rig, remedy) => {
    await rig.save();
    const tamper: Mistakes['tamper'] = (txn) =>
      changed(txn, (op) => (op.type === 'put' && op.key.startsWith(rig.layout.owed) ? null : op));
    const host = rig.host();
    rig.history.down = true;
    const first = rig.agent(host, remedy ? {} : { tamper });
    await rig.until(11);
    first.life.kill();
    const fresh = rig.host('w9');
    host.spool = [];
    rig.history.down = false;
    rig.agent(fresh);
    await rig.until(150);
    return rig.state(rig.run(10)) === 'succeeded' ? null : 'its end is known to nobody';
  });

  row('10: of two terminal records the first stays', async (rig, remedy) => {
    rig.history.lastWins = !remedy;
    await rig.save({ command: 'sim 30000-30000 0', overlap: 'allow' });
    rig.agent(rig.host());
    rig.agent(rig.host());
    await rig.until(10.5);
    const home = rig.hosts.find((host) => host.processes.size > 0);
    for (const agent of agentsOn(rig, home?.id)) agent.life.pause();
    await rig.until(30);
    for (const agent of agentsOn(rig, home?.id)) agent.life.resume();
    await rig.until(70);
    assert.equal(
      rig.history.records.get(rig.run(10))?.also?.state ?? 'replaced',
      remedy ? 'succeeded' : 'replaced',
    );
    return broken(rig, 'P2');
  });

  row('12: an agent that dies before the instant starts nothing early', async (rig, remedy) => {
    await rig.save();
    const { life } = rig.agent(rig.host(), remedy ? {} : { ignoresGo: true });
    await rig.until(9.95);
    life.kill();
    await rig.until(30);
    return broken(rig, 'P4');
  });

  row('12: what lost its claim does not start with the others of its gate', async (rig, remedy) => {
    await rig.save();
    await rig.save({ name: 'k' });
    // The claim of default/j never holds; that of default/k does, and opens the gate for both.
    const never = { key: 'nothing', target: 'version' as const, op: '>' as const, version: 0 };
    const tamper: Mistakes['tamper'] = (txn) =>
      changed(txn, (op) =>
        op.type === 'txn' &&
        op.txn.then.some((put) => put.type === 'put' && put.key.includes('running/default/j/'))
          ? { ...op, txn: { ...op.txn, compare: [...op.txn.compare, never] } }
          : op,
      );
    rig.agent(rig.host(), { tamper, keepsArmed: true, ignoresMarker: !remedy });
    await rig.until(30);
    return broken(rig, 'P1');
  });

  row('13: an order and an instant of one job do not both find the lane empty', async (rig, remedy) => {
    await rig.save();
    const job = await getJob(rig.api(), 'default/j');
    const basis = { job: 'default/j', lane: oneLane, cursorMod: '0', jobMod: job?.mod ?? '0' };
    const cursor = { instant: epoch, from: 'w0', why: 'run', run: null };
    const pieces = ['a', 'b'].map((id, at) =>
      claimInstant(rig.layout, at === 0 ? basis : { ...basis, lane: oneLane }, {
        ...{ run: `default~j~${id}~1`, overlaps: false, cursor, running: running(), owed: [] },
      }),
    );
    // The second names the lane alone, as an order's claim does.
    const [first, second] = pieces.map((piece, at) =>
      at === 0
        ? piece
        : {
            ...piece,
            txn: changed(piece.txn, (op) => ('key' in op && op.key.includes('cursors/') ? null : op)),
          },
    );
    if (first === undefined || second === undefined) return 'no pieces';
    const loose = { ...second, txn: without(second.txn, ({ key }) => !key.includes('cursors/')) };
    if (remedy) {
      const batch = batcher({ kv: rig.store, outer: () => [], again: async () => false });
      await Promise.all([batch.submit(first), batch.submit(loose)]);
    } else
      await rig.store.txn({ compare: [], then: [first, loose].map(({ txn }) => ({ type: 'txn', txn })) });
    const { count } = await rig.store.range({
      key: rig.layout.runningJob('default/j'),
      end: `${rig.layout.runningJob('default/j')}\xff`,
    });
    return count > 1 ? `${count} runs in one lane` : null;
  });

  row('14: in mode all the run of one worker does not keep the others out', async (rig, remedy) => {
    await rig.save({ mode: 'all', command: 'sim 3000-3000 0' });
    const lane = (text: string) => text.replace(/(cursors|running)\/default\/j\/w\d/, '$1/default/j/~');
    const tamper: Mistakes['tamper'] = (txn) =>
      JSON.parse(
        JSON.stringify(txn, (key, value: unknown) =>
          (key === 'key' || key === 'end') && typeof value === 'string' ? lane(value) : value,
        ),
      );
    for (let i = 0; i < 2; i++) rig.agent(rig.host(), remedy ? {} : { tamper });
    await rig.until(15);
    const started = rig.stamps.filter(({ plan }) => plan.instant === epoch + 10_000).length;
    return started === 2 ? null : `${started} of 2 workers ran it`;
  });

  row('18: an attempt that waits for its time outlives its agent', async (rig, remedy) => {
    await rig.save({ command: 'sim 100-100 1', retry: { attempts: 1, backoff: '8s' } });
    // The mistake: the next attempt waits in the agent's memory only.
    const tamper: Mistakes['tamper'] = (txn) =>
      changed(txn, (op) => (op.type === 'put' && op.value.includes('"state":"waiting"') ? null : op));
    const host = rig.host();
    const { life } = rig.agent(host, remedy ? {} : { tamper });
    await rig.until(12);
    life.kill();
    await rig.until(13);
    rig.agent(host);
    await rig.until(25);
    return rig.starts(rig.run(10, 2)) === 1 ? null : 'the second attempt is gone';
  });

  row('19: no attempt follows a kill, though its worker was cut off', async (rig, remedy) => {
    const job = await rig.save({ guarantee: 'at-least-once' });
    const run = rig.run(0);
    const key = rig.layout.run('default/j', oneLane, run);
    await rig.store.txn({ compare: [], then: [{ type: 'put', key, value: JSON.stringify(running()) }] });
    await askKill(rig.api(), run, null, { by: 'test', signal: null, graceMs: null });
    const mod = (await rig.store.range({ key })).entries[0]?.mod ?? '0';
    const record = blankRun({
      ...{
        id: run,
        group: job.group,
        name: job.name,
        state: 'lost',
        attempt: 1,
        trigger: 'schedule',
        instant: epoch,
      },
    });
    const next = { run: rig.run(0, 2), running: running({ state: 'waiting', attempt: 2 }) };
    const basis = { job: 'default/j', lane: oneLane, run, mod };
    const close = { owner: 'w0', incarnation: '1', record, next, at: epoch, by: 'w1' };
    const { txn } = closeDead(rig.layout, basis, close);
    await rig.store.txn(remedy ? txn : without(txn, (compare) => !compare.key.startsWith(rig.layout.kills)));
    const after = await rig.store.range({ key: rig.layout.run('default/j', oneLane, next.run) });
    return after.count === 0 ? null : 'the killed run goes on as its next attempt';
  });

  row('20: what overlap skips at its instant does not run later as catching up', async (rig, remedy) => {
    await rig.save({ command: 'sim 12000-12000 0' });
    // The mistake: a skip writes nothing, and leaves the instant above the cursor.
    const never = { key: 'nothing', target: 'version' as const, op: '>' as const, version: 0 };
    const tamper: Mistakes['tamper'] = (txn) =>
      changed(txn, (op) =>
        op.type === 'txn' &&
        op.txn.then.some((put) => put.type === 'put' && put.value.includes('"why":"overlap"'))
          ? { ...op, txn: { ...op.txn, compare: [...op.txn.compare, never] } }
          : op,
      );
    rig.agent(rig.host(), remedy ? {} : { tamper });
    await rig.until(29);
    return rig.starts(rig.run(20)) === 0 ? null : 'the skipped instant ran late';
  });

  row('21: a stop longer than the lease does not have its runs closed', async (rig, remedy) => {
    await rig.save({ command: 'sim 25000-25000 0', target: { workers: ['w0'] } });
    // The mistake: a stop takes the registration down.
    const tamper: Mistakes['tamper'] = (txn) =>
      changed(txn, (op) =>
        op.type === 'put' && op.value.includes('"state":"away"') ? { type: 'delete', key: op.key } : op,
      );
    const host = rig.host('w0');
    const agent = rig.agent(host, remedy ? {} : { tamper });
    rig.agent(rig.host('w1'));
    await rig.until(11);
    const stopped = agent.stop();
    await rig.until(32);
    await stopped;
    rig.agent(host);
    await rig.until(60);
    return rig.state(rig.run(10)) === 'succeeded' ? null : `it is called ${rig.state(rig.run(10))}`;
  });

  row('22: of two agents with one id the second is refused', async (rig, remedy) => {
    await rig.save();
    const tamper: Mistakes['tamper'] = (txn) =>
      txn.then.some((op) => op.type === 'put' && op.key.startsWith(rig.layout.workers))
        ? without(txn, () => false)
        : txn;
    rig.agent(rig.host('w0'));
    await rig.until(5);
    rig.agent(rig.host('w0'), remedy ? {} : { tamper });
    await rig.until(30);
    const [crash] = rig.crashes;
    return crash instanceof Refusal && crash.code === 'worker_id_taken' ? null : 'both believe to be w0';
  });

  row(
    '23: a request to run that is sent twice runs once, though its order was taken in between',
    async (rig, remedy) => {
      await rig.save({ schedule: null });
      // The mistake: an order is deleted as soon as it is taken, so that a repeat finds none and places it anew.
      const tamper: Mistakes['tamper'] = (txn) =>
        changed(txn, (op) =>
          op.type === 'put' && op.key.startsWith(rig.layout.orders) && op.value.includes('"done":true')
            ? { type: 'delete', key: op.key }
            : op,
        );
      const host = rig.host();
      const { life } = rig.agent(host, remedy ? {} : { tamper });
      await rig.until(2);
      const api = rig.api();
      const how = { id: 'idempotent0key', env: {}, worker: null, by: 'test' };
      for (const seconds of [3, 10]) {
        const job = await getJob(rig.api(), 'default/j');
        if (job !== null) await orderRun(api, job, how);
        await rig.until(seconds + 5);
        // A new life of the agent does not remember what it has run.
        if (seconds > 3) break;
        life.kill();
        rig.agent(host, remedy ? {} : { tamper });
      }
      return rig.stamps.length === 1 ? null : `it ran ${rig.stamps.length} times`;
    },
  );
});

/** A save whose floor and cursor are decided now, and whose transaction goes out when the answer is called. */
function saveJobLater(rig: Rig, api: ReturnType<Rig['api']>): () => Promise<unknown> {
  const at = rig.world.utc;
  const store = { ...api, now: () => at };
  return () => rig.save({ schedule: '*/5 * * * * *' }, store);
}

function holdsBlocked(host: Rig['hosts'][number]): boolean {
  return [...host.processes.values()].some(({ state }) => state === 'blocked');
}

/** Until the first instant is let go: the wrapper has been woken and has not judged yet. */
async function untilReleased(rig: Rig): Promise<void> {
  await rig.until(10);
}

function agentsOn(rig: Rig, id: string | undefined) {
  return rig.agents.filter(({ life }) => life.host.id === id);
}
