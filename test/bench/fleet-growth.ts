import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Rig } from '#test/sim/rig.ts';
import { costOf, type StoreCost } from '#test/sim/store-cost.ts';
import type { BenchRow, BenchTable } from './bench.ts';
import { fillWithJobs } from './many-jobs.ts';
import { registerWorkers } from './registered-workers.ts';

/** Seconds of virtual time: after the first nothing is left of the start, from there everything is counted. */
const settledS = 70.5;
const countedS = 60;
const every = 10;

/**
 * How messages and memory grow with the fleet: real agents on simulated hosts over the memory store. A fleet of so many mirrors of so many
 * jobs has no room in one process, so messages are counted in fleets with a job a worker, and what one agent holds and does among all
 * the others is measured with 100 jobs a worker, the others being registrations.
 */
export async function bench(): Promise<BenchTable> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const rows: BenchRow[] = [];
  for (const workers of [10, 100, 1_000]) rows.push(...(await messages(workers)));
  for (const workers of [10, 100, 1_000]) rows.push(...(await oneAmong(workers, workers * 100, collect)));
  return { title: 'How a fleet grows (real agents, simulated hosts, the memory store)', rows };
}

async function messages(workers: number): Promise<BenchRow[]> {
  const rig = new Rig();
  const cost = costOf(rig.store, rig.layout.cursors);
  for (let n = 0; n < workers; n += 1)
    await rig.save({ name: `j${n}`, schedule: `${n % every}/${every} * * * * *`, command: 'sim 20-20 0' });
  for (let n = 0; n < workers; n += 1) rig.agent(rig.host(), {}, true);
  await rig.until(settledS);
  cost.reset();
  const since = rig.stamps.length;
  await rig.until(settledS + countedS);
  const runs = rig.stamps.length - since;
  const steady = { ...cost } as StoreCost;
  cost.reset();
  rig.agent(rig.host(), {}, true);
  await rig.until(settledS + countedS + 5);
  const joined = { ...cost } as StoreCost;
  // What its runs need meanwhile is not the newcomer's doing.
  const looks = joined.looks - (steady.looks * 5) / countedS;
  if (rig.crashes.length > 0) throw new AggregateError(rig.crashes, 'agents ended by themselves');
  if (runs !== (workers * countedS) / every) throw new Error(`${runs} runs of ${workers} jobs`);
  await rig.end();
  const a = `${workers.toLocaleString('en')} workers, ${(workers / every).toLocaleString('en')} runs a second`;
  const per = (count: number, of: number) => (count / of).toFixed(2);
  return [
    {
      name: `${a}: requests that write, keys written, requests that read, changes told to others, for each run`,
      value: [steady.commits, steady.writes, steady.reads, steady.told]
        .map((count) => per(count, runs))
        .join(', '),
    },
    { name: `${a}: lease renewals a second`, value: per(steady.renewals, countedS) },
    {
      name: `${a}: one more comes: changes told, cursors read`,
      value: `${joined.told.toLocaleString('en')}, ${Math.round(looks).toLocaleString('en')}`,
    },
  ];
}

/** One real agent among registrations. */
async function oneAmong(workers: number, jobs: number, collect: () => void): Promise<BenchRow[]> {
  const rig = new Rig();
  await fillWithJobs(rig.api(), jobs, 'server-0');
  await registerWorkers(rig.api(), workers - 1);
  const heap = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = heap();
  const started = performance.now();
  rig.agent(rig.host());
  await rig.until(5);
  const readyMs = performance.now() - started;
  if (!rig.told.some(({ type }) => type === 'agent.ready')) throw new Error('the agent is not ready');
  const held = heap() - before;
  const { kv, layout } = rig.api();
  await kv.txn({ compare: [], then: [{ type: 'delete', key: layout.worker('server-1') }] });
  const died = performance.now();
  await rig.until(6);
  const diedMs = performance.now() - died;
  await rig.end();
  const a = `an agent among ${workers.toLocaleString('en')} workers and ${jobs.toLocaleString('en')} jobs`;
  return [
    { name: `${a}: heap`, value: `${(held / 1e6).toFixed(1)} MB` },
    {
      name: `${a}: its start, a worker's death, in computing time`,
      value: `${(readyMs / 1_000).toFixed(2)} s, ${Math.round(diedMs)} ms`,
    },
  ];
}
