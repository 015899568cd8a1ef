import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchTable, percentile } from './bench.ts';
import { fillWithJobs } from './many-jobs.ts';
import { registerWorkers } from './registered-workers.ts';
import { withServers } from './servers.ts';

const jobs = 100_000;
const others = 99;
const rounds = 3;
/** Memory is looked at when it has been at work for so long. */
const atWorkMs = 10_000;

/** What an agent needs to start, and to keep, in a large fleet. */
export function bench(): Promise<BenchTable> {
  return withServers(1, async ({ etcd, addAgent, store }) => {
    await fillWithJobs(store, jobs, 'server-0');
    await registerWorkers(store, others);
    const starts: { readyMs: number; now: number; highest: number }[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const agent = await addAgent('agent');
      await sleep(atWorkMs);
      starts.push({ readyMs: agent.readyMs, ...agent.memory() });
      await agent.end('SIGTERM');
    }
    const middle = (of: (one: (typeof starts)[number]) => number) => percentile(starts.map(of), 0.5);
    const mb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
    return {
      title: `An agent of a fleet of ${others + 1} workers and ${jobs.toLocaleString('en')} jobs (${etcd}; median of ${rounds} starts)`,
      rows: [
        {
          name: `resident memory, ${atWorkMs / 1_000} s after it was ready`,
          value: mb(middle(({ now }) => now)),
        },
        { name: 'resident memory at its highest', value: mb(middle(({ highest }) => highest)) },
        {
          name: "from its start to every job in the agent's hands",
          value: `${(middle(({ readyMs }) => readyMs) / 1_000).toFixed(2)} s`,
        },
      ],
    };
  });
}
