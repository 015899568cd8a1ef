import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '#infra/etcd/cluster.ts';
import type { BenchRow, BenchTable } from './bench.ts';
import { withServers } from './servers.ts';
import { makeStamper } from './stamp.ts';

const sizes = [1, 3, 10];
/** Runs a second, each of a job of its own: one comes by itself, the others as a burst at the second. */
const rates = [
  { rate: 1, seconds: 10, most: 2.2 },
  { rate: 10, seconds: 6, most: null },
  { rate: 100, seconds: 6, most: 0.5 },
  { rate: 500, seconds: 6, most: null },
];
/** A larger fleet may cost so many times what one agent does. */
const mostTimes = 1.3;
const restSeconds = 6;
/** From the jobs' being saved to the first second that counts: what was armed before has ended, what is new has found its pace. */
const settleMs = 3_000;
/** Counted from here in a second to here in another: the runs of an instant have ended, and the next are not claimed yet. */
const betweenMs = 650;

/**
 * What a run costs etcd by its own count: proposals that its leader has committed, without those of the same fleet at rest. A rate that the
 * machine does not reach is told as what it reached.
 */
export function bench(): Promise<BenchTable> {
  return withServers(3, async ({ dir, etcd, cluster, addAgent, setJobs }) => {
    const stamper = makeStamper(dir);
    const ofOne = new Map<number, number>();
    const rows: BenchRow[] = [];
    for (const [at, size] of sizes.entries()) {
      const more = Array.from({ length: size - (sizes[at - 1] ?? 0) }, (_, n) => `w${size - n}`);
      await Promise.all(more.map((id) => addAgent(id, '--capacity', '2000')));
      await setJobs([]);
      const fleet = size === 1 ? 'one agent' : `${size} agents`;
      const rest = (await count(restSeconds)).commits / restSeconds;
      rows.push({ name: `${fleet} at rest`, value: `${rest.toFixed(2)} a second` });
      for (const { rate, seconds, most } of rates) {
        await setJobs(
          Array.from({ length: rate }, (_, n) => ({
            ...{ name: `job-${n}`, schedule: '* * * * * *', overlap: 'allow' as const },
            ...stamper.job,
          })),
        );
        const { commits, runs } = await count(seconds);
        const each = (commits - rest * seconds) / runs;
        if (size === 1) ofOne.set(rate, each);
        const one = ofOne.get(rate) ?? each;
        const reached = runs / seconds < 0.95 * rate ? `, ${Math.round(runs / seconds)} of them reached` : '';
        rows.push({
          name: `${fleet}, ${rate === 1 ? 'one run' : `${rate} runs`} a second${reached}`,
          value: each.toFixed(2),
          yardstick: [
            ...(most === null ? [] : [`under ${most}`]),
            ...(size === 1 ? [] : [`at most ${mostTimes} x one agent's ${one.toFixed(2)}`]),
          ].join(', '),
          ...(size === 1 ? {} : { ratio: `${(each / one).toFixed(2)} x` }),
        });
      }
    }
    return { title: `Commits of ${etcd}, for each run of jobs that start every second`, rows };

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

/** What the leader has committed so far. */
async function committed(cluster: Cluster): Promise<number> {
  const { metrics } = await cluster.leader();
  const text = await (await fetch(`${metrics}/metrics`)).text();
  const found = /^etcd_server_proposals_committed_total (\S+)$/m.exec(text)?.[1];
  if (found === undefined) throw new Error('etcd tells no etcd_server_proposals_committed_total');
  return Number(found);
}
