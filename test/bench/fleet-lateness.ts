import { setTimeout as sleep } from 'node:timers/promises';
import { decode, OwedValue } from '#core/cluster/records.ts';
import type { RunId } from '#core/model/ids.ts';
import { isTerminal } from '#core/model/run.ts';
import { prefixRange } from '#core/ports/kv.ts';
import type { BenchTable } from './bench.ts';
import { latenessRows } from './lateness-rows.ts';
import { type Servers, withServers } from './servers.ts';

const agents = ['w1', 'w2', 'w3'];
/** A record may still be on its way to History for so long. */
const longestWaitMs = 20_000;
const lookMs = 500;

/** A hundred jobs every five seconds on three agents. */
export function bench(): Promise<BenchTable> {
  return withServers(3, async (servers) => {
    const { dir, etcd, addAgent, setJobs } = servers;
    await Promise.all(agents.map((id) => addAgent(id)));
    const { title, rows, wanted } = await latenessRows({ dir, mostMs: 25, setJobs });
    const left = await unaccounted(servers, wanted);
    return {
      title: `${agents.length} agents (${etcd}), ${title}`,
      rows: [...rows, { name: 'instants unaccounted for', value: String(left), yardstick: '0' }],
    };
  });
}

/** How many of these runs have no terminal record, neither in History nor owed to it. */
async function unaccounted({ store, history }: Servers, wanted: readonly RunId[]): Promise<number> {
  const until = performance.now() + longestWaitMs;
  for (let left: readonly RunId[] = wanted; ; await sleep(lookMs)) {
    const { entries } = await store.kv.range(prefixRange(store.layout.owed));
    const owed = new Set(
      entries.map((entry) => decode(OwedValue, entry)).map((read) => read.ok && read.value.run.id),
    );
    const missing = async (run: RunId) => {
      if (owed.has(run)) return [];
      const record = await history.run(run);
      return record !== null && isTerminal(record.state) ? [] : [run];
    };
    left = (await Promise.all(left.map(missing))).flat();
    if (left.length === 0 || performance.now() > until) return left.length;
  }
}
