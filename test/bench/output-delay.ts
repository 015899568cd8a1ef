import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchTable, percentile } from './bench.ts';
import { type Machine, startMachine } from './machine.ts';

const measuredMs = 25_000;
/** Waits between the lines of one run, in seconds: uneven, so that they keep no step with whoever looks. */
const busyWaits = ['0.13', '0.19', '0.29', '0.07'];
/** A run that says nothing for a second is looked at more seldom. */
const quietWaits = ['2.3', '1.9', '2.7', '3.1'];
const runsOfEach = 4;

/** From a line that a job writes, which is the time of its writing, to its being in a reader's hands who waits for it over the API. */
export async function bench(): Promise<BenchTable> {
  const dir = mkdtempSync(join(tmpdir(), 'output-delay-'));
  try {
    const machine = await startMachine(dir);
    try {
      const stop = new AbortController();
      const [busy, quiet] = [busyWaits, quietWaits].map((waits, kind) =>
        Array.from({ length: runsOfEach }, (_, n) => follow(machine, `job-${kind}-${n}`, waits, stop.signal)),
      ) as [Promise<number[]>[], Promise<number[]>[]];
      await sleep(measuredMs);
      stop.abort();
      const [often, seldom] = await Promise.all([Promise.all(busy), Promise.all(quiet)]);
      return {
        title: `From a line written by a job to its reader at the API (${runsOfEach} runs that write often, ${runsOfEach} that write seldom)`,
        rows: [...rowsOf('every 70 to 290 ms', often.flat()), ...rowsOf('every 2 to 3 s', seldom.flat())],
      };
    } finally {
      await machine.stop();
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function rowsOf(how: string, delays: readonly number[]): BenchTable['rows'] {
  const ms = (share: number) => `${percentile(delays, share).toFixed(0)} ms`;
  return [
    { name: `written ${how}: p50 of ${delays.length.toLocaleString('en')} lines`, value: ms(0.5) },
    { name: `written ${how}: p99`, value: ms(0.99) },
    { name: `written ${how}: max`, value: ms(1), yardstick: 'at most 300 ms' },
  ];
}

/** Runs a job that writes until it is killed, and gives the delay of each of its lines, ms. */
async function follow(machine: Machine, name: string, waits: string[], stop: AbortSignal): Promise<number[]> {
  // It ends by itself some time after the measuring, should nobody be left to kill it.
  const rounds = Math.ceil((2 * measuredMs) / waits.reduce((sum, wait) => sum + Number(wait) * 1_000, 0));
  const lines = waits.map((wait) => `date +%s%N; sleep ${wait}`).join('; ');
  const command = `n=0; while [ $n -lt ${rounds} ]; do ${lines}; n=$((n + 1)); done`;
  await machine.ask('PUT', `/jobs/default/${name}`, { command });
  const { run } = await machine.ask('POST', `/jobs/default/${name}/run`);
  const delays: number[] = [];
  for (let from = 0; !stop.aborted; ) {
    const part = await machine.ask('GET', `/runs/${run}/log?from=${from}&wait=20`);
    const now = performance.timeOrigin + performance.now();
    for (const line of part.text.split('\n').filter(Boolean)) delays.push(now - Number(line) / 1e6);
    from = part.next;
  }
  await machine.ask('POST', `/runs/${run}/kill`, { signal: 'KILL' });
  return delays;
}
