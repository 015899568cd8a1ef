import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyJobs } from '#core/cluster/apply.ts';
import { checkJob } from '#core/cluster/check-job.ts';
import type { JobStore } from '#core/cluster/job-record.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import type { JobInput } from '#core/model/job.ts';
import type { History } from '#core/ports/history.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import { type Cluster, startCluster } from '#infra/etcd/cluster.ts';
import { findEtcd } from '#infra/etcd/programs.ts';
import { startMongo } from '#infra/mongo/start-server.ts';
import { type Program, startProgram } from './program.ts';

export interface BenchAgent extends Program {
  id: string;
  /** From the start of its process to its word that every job is in its hands. */
  readyMs: number;
}

/** The servers of a fleet on this machine, each a process of its own, and the agents that a bench starts beside them. */
export interface Servers {
  /** A folder for whatever the bench needs; gone at the end. */
  dir: string;
  cluster: Cluster;
  /** `etcd 3.4.23, three members`. */
  etcd: string;
  store: JobStore;
  history: History;
  /** What more the command line is told follows the id. */
  addAgent(id: string, ...more: string[]): Promise<BenchAgent>;
  /** Makes the fleet's jobs these and no others. */
  setJobs(jobs: readonly JobInput[]): Promise<void>;
}

/** Has them for as long as `use` takes; nothing of them is left afterwards. */
export async function withServers<T>(members: 1 | 3, use: (servers: Servers) => Promise<T>): Promise<T> {
  const programs = await findEtcd();
  if ('missing' in programs) throw new Error(programs.missing);
  const dir = mkdtempSync(join(tmpdir(), 'bench-fleet-'));
  const ends: (() => unknown)[] = [() => rmSync(dir, { recursive: true })];
  try {
    const cluster = await startCluster({ programs, members });
    ends.push(() => cluster.stop());
    const mongo = await startMongo({ folder: join(dir, 'mongo') });
    if ('missing' in mongo) throw new Error(mongo.missing);
    ends.push(() => mongo.stop());
    const urls = { kv: `etcd://${cluster.endpoints}`, history: `${mongo.url}/cronfleet` };
    const clock = systemClock();
    const kv = await openKv(urls.kv, clock, systemIds());
    ends.push(() => kv.close());
    const history = await openHistory(urls.history, clock);
    ends.push(() => history.close());
    const store = { kv, layout: layoutOf(), now: () => clock.now() };
    const agents = new Map<string, Program>();
    ends.push(() => Promise.all([...agents.values()].map((agent) => agent.end('SIGTERM'))));
    return await use({
      ...{ dir, cluster, store, history },
      etcd: `etcd ${programs.version}, ${members === 1 ? 'one member' : 'three members'}`,
      async addAgent(id, ...more) {
        const stores = ['--kv', urls.kv, '--history', urls.history];
        const program = startProgram(
          ['agent', '--id', id, '--data', join(dir, id), ...stores, ...more],
          join(dir, `${id}.log`),
        );
        // Under its id: one that was killed and comes again takes its place.
        agents.set(id, program);
        const { ms } = await program.said(/"agent\.ready"/);
        return { ...program, id, readyMs: ms };
      },
      async setJobs(jobs) {
        const how = { by: 'bench', dryRun: false, prune: 'default' };
        await applyJobs(
          store,
          jobs.map((job) => checkJob(job)),
          how,
        );
      },
    });
  } finally {
    // Who uses a server ends before it.
    for (const end of ends.reverse()) await end();
  }
}
