import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { prefixRange } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { EtcdKv } from '#core/stores/kv/etcd/etcd-kv.ts';
import { type EtcdOptions, readEtcdUrl } from '#core/stores/kv/etcd/options.ts';
import { type Cluster, type ClusterOptions, startCluster } from '#infra/etcd/cluster.ts';
import { currentEtcd, debianEtcd, type EtcdPrograms, findEtcd, type Missing } from '#infra/etcd/programs.ts';
import type { MadeKv } from '#test/contract/kv-suite.ts';
import { isCi } from '#test/effort.ts';
import { rebased } from './rebased-kv.ts';

/** The etcds that the ring tries: at full length the oldest and a current one, for people whichever is there. */
export async function etcdsToTry(): Promise<EtcdPrograms[] | Missing> {
  const found = isCi ? [await debianEtcd(), await currentEtcd()] : [await findEtcd()];
  const missing = found.flatMap((one) => ('missing' in one ? [one.missing] : []));
  if (missing.length > 0) return { missing: missing.join('; ') };
  return found.filter((one): one is EtcdPrograms => !('missing' in one));
}

/** The same for a test file, which the ring does not start where there are none. */
export async function etcds(): Promise<EtcdPrograms[]> {
  const found = await etcdsToTry();
  if ('missing' in found) throw new Error(found.missing);
  return found;
}

/** A cluster for a whole test file. */
export async function clusterForFile(options: ClusterOptions): Promise<Cluster> {
  const cluster = await startCluster(options);
  after(() => cluster.stop());
  return cluster;
}

/** A connection in the clear unless options say otherwise. */
export function connect(
  endpoints: string,
  options: Partial<EtcdOptions> = {},
  chance: () => number = Math.random,
): EtcdKv {
  return new EtcdKv({ ...readEtcdUrl(`etcd://${endpoints}`), ...options }, { clock: systemClock(), chance });
}

/** What `kvSuite` wants, on a server that nobody else writes to: an empty prefix, and revisions from 1. */
export async function madeOn(endpoints: string): Promise<MadeKv> {
  const kv = connect(endpoints);
  const prefix = '/cronfleet-test/';
  const { revision } = await kv.txn({ compare: [], then: [{ type: 'delete', ...prefixRange(prefix) }] });
  const clock = systemClock();
  return {
    kv: rebased(kv, prefix, revision),
    time: { ttlMs: 2_000, boot: () => clock.boot(), pass: (ms) => sleep(ms) },
    clean() {},
  };
}
