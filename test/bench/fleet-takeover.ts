import { setTimeout as sleep } from 'node:timers/promises';
import { times } from '#agent/context.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { CursorValue, decode } from '#core/cluster/records.ts';
import { parseInstantText, parseRunId } from '#core/model/ids.ts';
import type { BenchRow, BenchTable } from './bench.ts';
import { type BenchAgent, type Servers, withServers } from './servers.ts';
import { makeStamper, type Stamper } from './stamp.ts';

const job = 'every-second';
const agents = ['w1', 'w2', 'w3'];
const kills = 2;
/** Into a second: no run of the job is claimed or lives. */
const betweenMs = 500;
/** Into a second: the run of the next instant is claimed, its command not started. */
const claimedMs = 1_000 - times.lead / 2;
/** How long it is waited for at most. */
const longestMs = 60_000;
const lookMs = 20;
/** The fleet is whole again and has decided some instants before the next kill. */
const quietMs = 3_000;
const promise = `within ${(times.leaseTtl + 3_000) / 1_000} s`;

/** How long a job every second stands still when the agent that is its home is killed: from the kill to the next start of it. */
export function bench(): Promise<BenchTable> {
  return withServers(3, async (servers) => {
    const { dir, etcd, addAgent, setJobs } = servers;
    const stamper = makeStamper(dir);
    const alive = new Map<string, BenchAgent>();
    await Promise.all(agents.map(async (id) => alive.set(id, await addAgent(id))));
    await setJobs([{ name: job, schedule: '* * * * * *', ...stamper.job }]);
    await firstStart(stamper, Date.now());
    return {
      title: `Take-over of a job every second after kill -9 of its home, of ${agents.length} agents (${etcd}; the longest of ${kills})`,
      rows: [
        await rowOf('none of its runs lives', betweenMs),
        await rowOf('its next run is claimed and not started', claimedMs),
      ],
    };

    async function rowOf(name: string, atMs: number): Promise<BenchRow> {
      const took: number[] = [];
      for (let kill = 0; kill < kills; kill += 1) {
        await sleep(Math.ceil((Date.now() + quietMs) / 1_000) * 1_000 + atMs - Date.now());
        const home = await homeOf(servers);
        const killedAt = Date.now();
        await alive.get(home)?.end('SIGKILL');
        took.push((await firstStart(stamper, killedAt)) - killedAt);
        alive.set(home, await addAgent(home));
      }
      return { name, value: `${(Math.max(...took) / 1_000).toFixed(2)} s`, yardstick: promise };
    }
  });
}

/** Who has decided the job's last instant. */
async function homeOf({ store: { kv, layout } }: Servers): Promise<string> {
  const { entries } = await kv.range({ key: layout.cursor(`default/${job}`, oneLane) });
  const read = entries[0] === undefined ? null : decode(CursorValue, entries[0]);
  if (read?.ok !== true) throw new Error('the job has no cursor, though it has started');
  return read.value.from;
}

/** When (UTC ms) the first run started whose instant lies after that. */
async function firstStart(stamper: Stamper, after: number): Promise<number> {
  for (const until = Date.now() + longestMs; Date.now() < until; await sleep(lookMs)) {
    const found = stamper.read().find(({ run }) => (parseInstantText(parseRunId(run).cause) ?? 0) > after);
    if (found !== undefined) return found.atMs;
  }
  throw new Error(`no run started within ${longestMs / 1_000} s`);
}
