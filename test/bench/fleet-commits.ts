import { setTimeout as sleep } from 'node:timers/promises';
import { maxPieces } from '#core/cluster/batch.ts';
import { CursorValue, decode } from '#core/cluster/records.ts';
import { prefixRange } from '#core/ports/kv.ts';
import type { Cluster } from '#infra/etcd/cluster.ts';
import type { BenchRow, BenchTable } from './bench.ts';
import { type Servers, withServers } from './servers.ts';
import { makeStamper } from './stamp.ts';

const sizes = [1, 3, 10];
/** Runs a second, each of a job of its own: one comes by itself, the others as a burst at the second. */
const rates = [
  { rate: 1, seconds: 8, most: 2.2 },
  { rate: 10, seconds: 6, most: null },
  { rate: 100, seconds: 6, most: 0.5 },
  { rate: 500, seconds: 6, most: null },
];
/** A larger fleet may cost so many times what one agent does. */
const mostTimes = 1.3;
/** Reached to this share, a rate is one that the machine can do; a higher one is not tried otherwise. */
const reachedShare = 0.95;
const restSeconds = 4;
/** From the jobs' being saved to the first second that counts: what was armed before has ended, what is new has found its pace. */
const settleMs = 3_000;
/** Counted from here in a second to here in another: the runs of an instant have ended, and the next are not claimed yet. */
const betweenMs = 650;

/** What a run has cost at a rate: commits, the runs a second that there were, and how many agents were home to a job. */
interface Cost {
  each: number;
  reached: number;
  homes: number;
}

/** What one fleet has cost: commits a second at rest, and a run at each rate that was tried. */
interface Costs {
  etcd: string;
  rest: number;
  runs: Map<number, Cost>;
}

/**
 * What a run costs etcd by its own count: proposals that its leader has committed, without those of the same fleet at rest. A rate that the
 * machine does not reach is told as what it reached, and higher ones are left out.
 */
export async function bench(): Promise<BenchTable> {
  const rows: BenchRow[] = [];
  let one: Costs | null = null;
  for (const size of sizes) {
    const costs = await costsOf(size);
    one ??= costs;
    rows.push(...rowsOf(size, costs, one));
  }
  return { title: `Commits of ${one?.etcd}, for each run of jobs that start every second`, rows };
}

/** On servers of its own, so that nothing is left over from a fleet before. */
function costsOf(size: number): Promise<Costs> {
  return withServers(3, async (servers) => {
    const { dir, etcd, cluster, addAgent, setJobs } = servers;
    const stamper = makeStamper(dir);
    const ids = Array.from({ length: size }, (_, n) => `w${n + 1}`);
    await Promise.all(ids.map((id) => addAgent(id, '--capacity', '2000')));
    const rest = (await count(restSeconds)).commits / restSeconds;
    const runs: Costs['runs'] = new Map();
    for (const { rate, seconds } of rates) {
      await setJobs(
        Array.from({ length: rate }, (_, n) => ({
          ...{ name: `job-${n}`, schedule: '* * * * * *', overlap: 'allow' as const },
          ...stamper.job,
        })),
      );
      const found = await count(seconds);
      const each = (found.commits - rest * seconds) / found.runs;
      const reached = found.runs / seconds;
      runs.set(rate, { each, reached, homes: await homesOf(servers) });
      if (reached < reachedShare * rate) break;
    }
    return { etcd, rest, runs };

    async function count(seconds: number): Promise<{ commits: number; runs: number }> {
      const from = Math.ceil((Date.now() + settleMs) / 1_000) * 1_000 + betweenMs;
      const look = async (at: number) => {
        await sleep(at - Date.now());
        return { commits: await committed(cluster), runs: stamper.read().length };
      };
      const [before, after] = [await look(from), await look(from + seconds * 1_000)];
      return { commits: after.commits - before.commits, runs: after.runs - before.runs };
    }
  });
}

/** How many agents have decided the last instants of the jobs. */
async function homesOf({ store: { kv, layout } }: Servers): Promise<number> {
  const { entries } = await kv.range(prefixRange(layout.cursors));
  const cursors = entries.map((entry) => decode(CursorValue, entry));
  return new Set(cursors.map((read) => read.ok && read.value.from)).size;
}

function rowsOf(size: number, costs: Costs, one: Costs): BenchRow[] {
  const fleet = size === 1 ? 'one agent' : `${size} agents`;
  const rest = { name: `${fleet} at rest`, value: `${costs.rest.toFixed(2)} a second` };
  const busy = rates.map(({ rate, most }): BenchRow => {
    const [mine, ofOne] = [costs.runs.get(rate), one.runs.get(rate)];
    const name = `${fleet}, ${rate === 1 ? 'one run' : `${rate} runs`} a second`;
    if (mine === undefined) return { name, value: 'left out: beyond this machine' };
    const short =
      mine.reached < reachedShare * rate ? ` (this machine reached ${Math.round(mine.reached)})` : '';
    const yardsticks = [
      ...(most === null ? [] : [`under ${most}`]),
      ...(size === 1 || ofOne === undefined ? [] : [`at most ${mostTimes} x one agent's`]),
      leastOf(mine, rate),
    ];
    return {
      ...{ name: `${name}${short}`, value: mine.each.toFixed(2), yardstick: yardsticks.join('; ') },
      ...(size === 1 || ofOne === undefined ? {} : { ratio: `${(mine.each / ofOne.each).toFixed(2)} x` }),
    };
  });
  return [rest, ...busy];
}

/** Each home claims for itself, and finishes for itself. */
function leastOf({ homes }: Cost, rate: number): string {
  const requests = 2 * Math.max(homes, Math.ceil(rate / maxPieces));
  const who = homes === 1 ? 'one home' : `${homes} homes`;
  return `${who}: ${requests} requests an instant, ${(requests / rate).toFixed(2)}`;
}

/** What the leader has committed so far. */
async function committed(cluster: Cluster): Promise<number> {
  const { metrics } = await cluster.leader();
  const text = await (await fetch(`${metrics}/metrics`)).text();
  const found = /^etcd_server_proposals_committed_total (\S+)$/m.exec(text)?.[1];
  if (found === undefined) throw new Error('etcd tells no etcd_server_proposals_committed_total');
  return Number(found);
}
