import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { planOf, RunnerHost } from '../agent/runner-host.ts';
import type { BenchTable } from './bench.ts';
import { percentile } from './bench.ts';
import { type Burst, cSpawnLoop, nodeSpawnLoop, readStamps, stampLine } from './burst-yardsticks.ts';

const count = 1_000;
/** Ours, C, Node, and again: on a shared machine one round alone says little. */
const rounds = 5;

/** A thousand runs on one instant: armed ahead, claimed, released by one pipe, beside bare loops of the same line. */
export async function bench(): Promise<BenchTable> {
  const ours: (Burst & Armed)[] = [];
  const c: Burst[] = [];
  const node: Burst[] = [];
  let missing = '';
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await release());
    const measured = await cSpawnLoop(count);
    if ('missing' in measured) missing = measured.missing;
    else c.push(measured);
    node.push(await nodeSpawnLoop(count));
  }
  const ms = (some: readonly Burst[]) =>
    percentile(
      some.map(({ lastStartMs }) => lastStartMs),
      0.5,
    );
  const perSecond = (some: readonly Burst[]) =>
    percentile(
      some.map(({ startsPerSecond }) => startsPerSecond),
      0.5,
    );
  const [mine, theirs] = [ms(ours), ms(node)];
  const cMs = c.length === 0 ? null : ms(c);
  const armMs = percentile(
    ours.map((one) => one.armMs),
    0.5,
  );
  return {
    title: `A burst of ${count.toLocaleString('en')} jobs on one instant (median of ${rounds})`,
    rows: [
      {
        name: 'last start after the instant, beside a C loop of posix_spawn',
        value: `${mine.toFixed(0)} ms`,
        yardstick: cMs === null ? missing : `${cMs.toFixed(0)} ms`,
        ...(cMs === null ? {} : { ratio: `${(mine / cMs).toFixed(2)} x` }),
      },
      {
        name: "last start after the instant, beside a loop of Node's spawn",
        value: `${mine.toFixed(0)} ms`,
        yardstick: `${theirs.toFixed(0)} ms`,
        ratio: `${(mine / theirs).toFixed(2)} x`,
      },
      {
        name: 'starts per second, beside the C loop',
        value: String(perSecond(ours)),
        yardstick: c.length === 0 ? missing : String(perSecond(c)),
        ...(c.length === 0 ? {} : { ratio: `${(perSecond(ours) / perSecond(c)).toFixed(2)} x` }),
      },
      { name: 'arming them, ahead of the instant', value: `${armMs.toFixed(0)} ms` },
      {
        name: 'longest the event loop was held up by arming',
        value: `${Math.max(...ours.map((one) => one.heldMs)).toFixed(0)} ms`,
      },
    ],
  };
}

interface Armed {
  armMs: number;
  heldMs: number;
}

async function release(): Promise<Burst & Armed> {
  const folder = mkdtempSync(join(tmpdir(), 'burst-'));
  const stamps = join(folder, 'stamps');
  mkdirSync(stamps);
  const host = await new RunnerHost({}, join(folder, 'host')).adopt();
  try {
    const command = stampLine(stamps);
    const plans = Array.from({ length: count }, (_, i) => planOf(`burst-${i}`, { command, gate: 'burst' }));
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const armedFrom = performance.now();
    const refused = [...(await host.runner.arm(plans)).values()].filter((one) => one !== null);
    const armMs = performance.now() - armedFrom;
    delay.disable();
    if (refused.length > 0) throw new Error(`${refused.length} refused: ${refused[0]?.reason}`);
    await Promise.all(plans.map((plan) => host.claim(plan)));
    const began = Date.now();
    await host.release('burst');
    await host.until('all to end', () => host.ends.size === count);
    const seen = readStamps(stamps);
    if (seen.length !== count) throw new Error(`${seen.length} stamps of ${count} jobs`);
    const lastStartMs = (seen.at(-1) ?? 0) - began;
    const startsPerSecond = Math.round((count * 1_000) / lastStartMs);
    return { lastStartMs, startsPerSecond, armMs, heldMs: delay.max / 1e6 };
  } finally {
    await host.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
