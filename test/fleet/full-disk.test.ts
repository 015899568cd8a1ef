import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { Job, type JobInput } from '#core/model/job.ts';
import { prefixRange } from '#core/ports/kv.ts';
import { until } from '#test/until.ts';
import { printing } from './outputs.ts';
import { reckon } from './reckoning.ts';
import { makeStamps, readStamps, stampedCommand } from './stamps.ts';
import { Yard } from './yard.ts';

const skip = process.getuid?.() === 0 ? false : 'a file system of its own needs root';
const diskMb = 16;
/** In which a worker without room is watched taking nothing on. */
const watchMs = 4_000;

/** Leaves no byte of its disk free. */
function fill(file: string): void {
  const block = Buffer.alloc(4_096, 'x');
  try {
    for (;;) appendFileSync(file, block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}

it('an agent whose disk fills up while History is away claims no more, says so, and loses no instant, record or uncounted byte', {
  skip,
}, async () => {
  const yard = await Yard.open(1);
  const [stamps, outputs] = [join(yard.folder, 'stamps'), join(yard.folder, 'outputs')];
  const data = mkdtempSync(join(tmpdir(), 'cronfleet-full-disk-'));
  makeStamps(stamps);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMb}m`, 'tmpfs', data]);
  let good = false;
  try {
    const job = (input: JobInput) => v.parse(Job, input);
    const [start = '', , , end = ''] = stampedCommand(stamps, 'prints', '0').split('; ');
    const jobs = [
      job({
        ...{ name: 'each', schedule: '* * * * * *', overlap: 'allow', catchUp: 'all' },
        command: stampedCommand(stamps, 'each', '0.1'),
      }),
      job({
        ...{ name: 'prints', schedule: '* * * * * *', overlap: 'allow' },
        command: `${start}; ${printing(outputs, 1_000_000)}; ${end}`,
      }),
    ];
    await yard.setJobs(jobs);
    const from = Date.now() + 1_000;
    const agent = yard.life('w', data);
    const isFull = async () => {
      const { entries } = await yard.kv.range({ key: yard.layout.worker('w') });
      return JSON.parse(entries[0]?.value ?? '{}').full;
    };
    while ((await yard.records()).length === 0) await sleep(100);

    const count = (event: string) =>
      readFileSync(join(yard.folder, 'logs', 'w.log'), 'utf8').split(`"msg":"${event}"`).length - 1;
    const claimed = () => count('run.claimed');

    await yard.killHistory();
    while ((await isFull()) !== true) await sleep(100);
    // What is on its way from a job that has just had no room to print comes to the spool a moment later.
    for (const event of ['disk.full', 'spool.full', 'ledger.away']) await until(event, () => count(event));
    // What runs free as they end is room in which more is rightly taken on: it goes as well, once nothing lives that has an end to write down.
    const idle = async () => {
      while ((await yard.kv.range(prefixRange(yard.layout.running))).count > 0) await sleep(100);
    };
    do {
      await idle();
      fill(join(data, 'ballast'));
    } while (existsSync(join(data, 'spool', 'reserve')));
    await idle();
    const before = claimed();
    await sleep(watchMs);
    assert.equal(claimed(), before, 'taken on without room for its record');

    // Even on a disk without a free byte what History takes makes room.
    await yard.restartHistory();
    while ((await isFull()) !== false) await sleep(100);
    rmSync(join(data, 'ballast'));
    const startedBefore = readStamps(stamps).length;
    while (readStamps(stamps).length === startedBefore) await sleep(100);
    const { verdict, printed, breaches } = await reckon(yard, agent, { jobs, from, stamps, outputs });
    console.log(
      `${verdict.due} instants due, ${verdict.started} starts, ${verdict.duplicates} twice, ${verdict.unaccounted} unaccounted for, ${printed.bytes} bytes of ${printed.runs} runs, ${printed.dropped} dropped`,
    );
    assert.deepEqual(breaches, []);
    assert.ok(printed.dropped > 0);
    good = true;
  } finally {
    await yard.close(!good);
    execFileSync('umount', [data]);
    rmdirSync(data);
  }
});
