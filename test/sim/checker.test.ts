import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deleteJob } from '#core/cluster/jobs.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { check, type Evidence } from './checker.ts';
import { endedVersions } from './checks/ended-versions.ts';
import { oneOrAll } from './checks/starts.ts';
import type { Stamp } from './host.ts';
import { Rig } from './rig.ts';
import { calm } from './sim-kv.ts';
import { epoch } from './world.ts';

/** What two workers leave that keep every promise: a job every ten seconds that runs for three, for some minutes. */
interface Played {
  rig: Rig;
  evidence: Evidence & { stamps: Stamp[] };
  /** The n-th start, and its record. */
  stamp(n: number): Stamp;
  record(n: number, change: Partial<Run>): void;
  put(key: string, value: unknown): Promise<unknown>;
}

async function played(): Promise<Played> {
  const rig = new Rig();
  await rig.save({ command: 'sim 3000-3000 0', guarantee: 'at-least-once' });
  const machine = { labels: {}, capacity: 100, offsetMs: 0 };
  for (let i = 0; i < 2; i += 1) rig.agent(rig.host());
  await rig.until(248);
  const { layout, log, stamps, history, hosts, world } = rig;
  const scenario = {
    workers: [machine, machine],
    jobs: [],
    weather: calm,
    faults: [],
    acts: [],
    healAt: 0,
    apiOffsetMs: 0,
    historyMs: 25,
  };
  const evidence = {
    ...{ layout, log, stamps, history, hosts, scenario, troubles: [], views: [] },
    ...{ calmAt: 20_000, endAt: world.time },
  };
  const stamp = (n: number) => stamps[n] ?? assert.fail(`there is no start ${n}`);
  return {
    rig,
    evidence,
    stamp,
    record(n, change) {
      const { run } = stamp(n);
      const known = history.records.get(run) ?? assert.fail(`${run} has no record`);
      history.records.set(run, { ...known, ...change });
    },
    put: (key, value) =>
      rig.store.txn({ compare: [], then: [{ type: 'put', key, value: JSON.stringify(value) }] }),
  };
}

const running = { incarnation: '1', state: 'claimed', instant: epoch, attempt: 1, losses: 0, covers: null };
const claim = {
  ...running,
  notBefore: epoch,
  at: epoch,
  trigger: 'schedule',
  order: null,
  by: null,
  env: {},
};

/** A breach of each rule, planted into what was kept. The promise that is seen to be broken comes first. */
const breaches: readonly [string, string, (of: Played) => unknown][] = [
  [
    'P1',
    'a second start',
    ({ evidence, stamp }) => evidence.stamps.push({ ...stamp(2), start: stamp(2).start + 1 }),
  ],
  [
    'P1',
    'a next attempt before the last has ended',
    ({ evidence, stamp }) =>
      evidence.stamps.push({
        ...stamp(2),
        run: stamp(2).run.replace(/1$/, '2'),
        start: stamp(2).start + 1,
        fence: '9999',
      }),
  ],
  [
    'P7',
    'a next attempt without a greater fence',
    ({ evidence, stamp }) =>
      evidence.stamps.push({
        ...stamp(2),
        run: stamp(2).run.replace(/1$/, '2'),
        start: (stamp(2).end ?? 0) + 1,
      }),
  ],
  [
    'P1',
    'a start after its key has gone',
    ({ stamp }) => Object.assign(stamp(2), { start: (stamp(2).end ?? 0) + 5_000 }),
  ],
  ['P1', 'a start that nobody has claimed', ({ stamp }) => Object.assign(stamp(2), { fence: '9999' })],
  [
    'P2',
    'a terminal record that was replaced',
    ({ evidence, stamp }) => evidence.history.overwritten.push(stamp(2).run),
  ],
  [
    'P4',
    'early by its own clock',
    ({ stamp }) => Object.assign(stamp(2), { goWall: (stamp(2).plan.instant ?? 0) - 1 }),
  ],
  [
    'P4',
    'half a second early by the true one',
    ({ stamp }) => Object.assign(stamp(2), { start: stamp(2).start - 600 }),
  ],
  [
    'P5',
    'another version than the claimed one',
    ({ stamp }) =>
      Object.assign(stamp(2), {
        plan: { ...stamp(2).plan, job: { ...stamp(2).plan.job, command: 'other' } },
      }),
  ],
  ['P6', 'two at once', ({ stamp }) => Object.assign(stamp(2), { end: stamp(3).start + 1 })],
  ['P2', 'an end without a record', ({ evidence, stamp }) => evidence.history.records.delete(stamp(2).run)],
  ['P2', 'a record that never ends', ({ record }) => record(2, { state: 'running' })],
  ['P12', 'another exit status in the record', ({ record }) => record(2, { exitCode: 7 })],
  ['P2', 'a start that no process made', ({ evidence }) => evidence.stamps.splice(2, 1)],
  [
    'P1',
    'a cursor that goes back',
    ({ rig, put }) =>
      put(rig.layout.cursor('default/j', oneLane), { instant: epoch, from: 'w0', why: 'run', run: null }),
  ],
  [
    'P3',
    'an instant that nobody has decided, though all was quiet',
    ({ evidence, stamp }) => {
      const late = evidence.stamps.findIndex(({ start }) => start > 150_000);
      evidence.history.records.delete(stamp(late).run);
    },
  ],
  [
    'P3',
    'an instant that is decided late',
    ({ rig }) => {
      for (const logged of rig.log.of(rig.layout.cursor('default/j', oneLane))) logged.at += 5_000;
    },
  ],
  [
    'P8',
    'a confirmed kill whose run lives',
    ({ stamp, record }) => {
      const kill = {
        by: 'somebody',
        requestedAt: epoch,
        signalledAt: epoch,
        confirmedAt: epoch,
        certain: true,
      };
      record(2, { kill });
      stamp(2).end = null;
    },
  ],
  ['P8', 'a signal that nobody asked for', ({ stamp }) => Object.assign(stamp(2), { signalled: 'killed' })],
  ['P8', 'a timeout that it has not', ({ stamp }) => Object.assign(stamp(2), { signalled: 'timed_out' })],
  ['P7', 'a loss that nothing follows', ({ record }) => record(2, { state: 'lost' })],
  [
    'P11',
    'a key without a process',
    ({ rig, put }) => put(rig.layout.run('default/j', oneLane, rig.run(0)), { ...claim, worker: 'w0' }),
  ],
  [
    'P9',
    'a spool that does not drain',
    ({ rig }) => void rig.hosts[0]?.spool.push(...Array.from({ length: 60 }, () => blank(rig))),
  ],
  [
    'P13',
    'a claim by a drained worker',
    async ({ rig, put }) => {
      await put(rig.layout.drain('w0'), { by: 'somebody', at: epoch });
      await put(rig.layout.run('default/j', oneLane, rig.run(0)), { ...claim, worker: 'w0' });
    },
  ],
  [
    'P12',
    'a run that is closed though its worker is there',
    async ({ rig, put }) => {
      const run = rig.run(0);
      const key = rig.layout.run('default/j', oneLane, run);
      await put(key, { ...claim, worker: 'w0' });
      const owed = {
        run: blankRun({ id: run, group: 'default', name: 'j', state: 'lost' }),
        at: epoch,
        by: 'w1',
      };
      const value = JSON.stringify(owed);
      const then = [
        { type: 'delete' as const, key },
        { type: 'put' as const, key: rig.layout.owing(run), value },
      ];
      await rig.store.txn({ compare: [], then });
    },
  ],
  [
    'P10',
    'a view that differs',
    ({ evidence }) =>
      Object.assign(evidence, {
        views: [{ worker: 'w0', at: 0, differs: [{ key: 'k', seen: '1', stands: '2' }] }],
      }),
  ],
  [
    'target',
    'a worker that the job does not name',
    ({ stamp }) =>
      Object.assign(stamp(2), {
        plan: {
          ...stamp(2).plan,
          job: { ...stamp(2).plan.job, target: { labels: { zone: 'x' }, workers: [] } },
        },
      }),
  ],
  ['target', "another worker's lane", ({ stamp }) => Object.assign(stamp(2), { run: `${stamp(2).run}~w7` })],
  [
    'capacity',
    'more at once than fits',
    ({ evidence }) => {
      for (const machine of evidence.scenario.workers) Object.assign(machine, { capacity: 0 });
    },
  ],
];

function blank(rig: Rig): Run {
  return blankRun({ id: rig.run(0), group: 'default', name: 'j', state: 'missed' });
}

describe('the judge of the simulation', () => {
  it('finds nothing where every promise was kept', async () => {
    const { rig, evidence } = await played();
    assert.deepEqual(check(evidence), []);
    assert.ok(rig.stamps.length > 20);
    await rig.end();
  });

  // By the rule itself: such a start has no claim behind it either, which others see.
  it('sees P1: an instant that ran once, and on each worker', async () => {
    const { rig, evidence, stamp } = await played();
    assert.deepEqual(oneOrAll(evidence), []);
    evidence.stamps.push({ ...stamp(2), run: `${stamp(2).run}~w0` });
    assert.equal(oneOrAll(evidence).length, 1);
    await rig.end();
  });

  for (const [how, change] of [
    ['edited', { schedule: '*/7 * * * * *' }],
    ['disabled', { enabled: false }],
    ['deleted', null],
  ] as const)
    it(`sees P2: an instant that was due when its job was ${how}, and that nobody has said anything of`, async () => {
      const { rig, evidence } = await played();
      for (const { life } of rig.agents) life.kill();
      await rig.until(265);
      // As it was once: the job is written, and nothing beside it.
      const api = rig.api((txn) => ({ ...txn, then: txn.then.slice(0, 1) }));
      if (change === null) await deleteJob(api, 'default/j', {});
      else await rig.save(change, api);
      await rig.until(340);
      const found = endedVersions({ ...evidence, endAt: rig.world.time }).map(({ what }) =>
        what.slice(0, 34),
      );
      assert.deepEqual(
        found,
        [250, 260].map((at) => `default/j ${new Date(rig.instant(at)).toISOString()}`),
      );
      await rig.end();
    });

  it('sees P2: an instant that ran and is said to have been skipped, for its job was edited', async () => {
    const { rig, evidence, stamp } = await played();
    const run = blankRun({
      id: stamp(2).run,
      group: 'default',
      name: 'j',
      state: 'skipped',
      reason: 'edited',
    });
    const { instant } = stamp(2).plan;
    evidence.history.records.set(run.id, { ...run, instant, until: rig.instant(60), count: 4 });
    const ran = endedVersions(evidence).map(({ what }) => what.split(' ')[0]);
    assert.deepEqual(
      ran,
      [2, 3, 4, 5].map((n) => stamp(n).run).filter((id) => id <= rig.run(60)),
    );
    await rig.end();
  });

  for (const [property, name, plant] of breaches)
    it(`sees ${property}: ${name}`, async () => {
      const one = await played();
      try {
        await plant(one);
        await one.rig.world.advance(0);
        const found = check({ ...one.evidence, endAt: one.rig.world.time });
        assert.ok(
          found.some((violation) => violation.property === property),
          `found only: ${found.map((violation) => `${violation.property} ${violation.what}`).join('; ')}`,
        );
      } finally {
        await one.rig.end();
      }
    });
});
