import { after, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '#core/ports/clock.ts';
import { prefixRange } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { EtcdKv } from '#core/stores/kv/etcd/etcd-kv.ts';
import { type EtcdOptions, readEtcdUrl } from '#core/stores/kv/etcd/options.ts';
import { type Cluster, type ClusterOptions, startCluster } from '#infra/etcd/cluster.ts';
import { currentEtcd, debianEtcd, type EtcdPrograms, findEtcd, type Missing } from '#infra/etcd/programs.ts';
import type { MadeKv } from '#test/contract/kv-suite.ts';
import { isCi } from '#test/effort.ts';
import { type Proxy as Line, startProxy } from './proxy.ts';
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

/**
 * A suite for each, all of them at once: what they do is mostly to wait. Nothing that belongs to one of them may be that of another, and a
 * suite's own tests come one after the other.
 */
export async function describeEach(
  what: string,
  suite: (programs: EtcdPrograms) => void | Promise<void>,
): Promise<void> {
  const all = await etcds();
  describe(what, { concurrency: true }, () => {
    for (const programs of all)
      describe(`etcd ${programs.version}`, { concurrency: 1 }, () => suite(programs));
  });
}

/** A cluster for as long as the file, suite or test lasts that asks for it, whatever comes of that; in a `before` it would end with that. */
export async function clusterForFile(options: ClusterOptions): Promise<Cluster> {
  const cluster = await startCluster(options);
  after(() => cluster.stop());
  return cluster;
}

/** A connection in the clear unless options say otherwise, closed at the latest when the file, suite or test ends that asks for it. */
export function connect(
  endpoints: string,
  options: Partial<EtcdOptions> = {},
  chance: () => number = Math.random,
  clock: Clock = systemClock(),
): EtcdKv {
  const kv = new EtcdKv({ ...readEtcdUrl(`etcd://${endpoints}`), ...options }, { clock, chance });
  // One that a failed test leaves open would keep the file from its end.
  after(() => kv.close());
  return kv;
}

/** For who tries no deadline: each call has a minute more than its own two seconds, which a busy machine may take. */
export function patientClock(): Clock {
  return { ...systemClock(), now: () => Date.now() + 60_000 };
}

/** For which each answer comes at once, however busy the machine is. */
export function untroubledClock(): Clock {
  return { ...systemClock(), boot: () => 0 };
}

/** A line to a server that a test may cut, which ends with that test. */
export async function lineTo(target: string): Promise<Line> {
  const proxy = await startProxy(target);
  after(() => proxy.close());
  return proxy;
}

/** What `kvSuite` wants, on a server that nobody else writes to: an empty prefix, and revisions from 1. */
export async function madeOn(endpoints: string): Promise<MadeKv> {
  const kv = connect(endpoints, {}, Math.random, patientClock());
  const prefix = '/cronfleet-test/';
  const { revision } = await kv.txn({ compare: [], then: [{ type: 'delete', ...prefixRange(prefix) }] });
  const clock = systemClock();
  return {
    kv: rebased(kv, prefix, revision),
    // So long that a request which comes seconds late finds the lease alive.
    time: { ttlMs: 3_000, boot: () => clock.boot(), pass: (ms) => sleep(ms) },
    clean() {},
  };
}
