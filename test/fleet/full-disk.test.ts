import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { Job, type JobInput } from '#core/model/job.ts';
import { printing } from './outputs.ts';
import { reckon } from './reckoning.ts';
import { makeStamps, readStamps, stampedCommand } from './stamps.ts';
import { Yard } from './yard.ts';

const skip = process.getuid?.() === 0 ? false : 'a file system of its own needs root';
const diskMb = 16;
/** In which a worker without room is watched taking nothing on. */
const watchMs = 4_000;

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

    await yard.killHistory();
    while ((await isFull()) !== true) await sleep(100);
    const said = readFileSync(join(yard.folder, 'logs', 'w.log'), 'utf8');
    for (const event of ['disk.full', 'spool.full', 'ledger.away'])
      assert.equal(said.split(`"msg":"${event}"`).length > 1, true, event);
    // What was claimed before is started still.
    await sleep(1_000);
    const before = readStamps(stamps).length;
    await sleep(watchMs);
    assert.equal(readStamps(stamps).length, before, 'taken on without room for its record');

    await yard.restartHistory();
    while ((await isFull()) !== false) await sleep(100);
    const { verdict, printed, breaches } = await reckon(yard, agent, { jobs, from, stamps, outputs });
    console.log(
      `${verdict.due} instants due, ${verdict.started} starts, ${verdict.duplicates} twice, ${verdict.unaccounted} unaccounted for, ${printed.bytes} bytes of ${printed.runs} runs, ${printed.dropped} dropped`,
    );
    assert.deepEqual(breaches, []);
    assert.ok(printed.dropped > 0);
    assert.ok(verdict.started > before);
    good = true;
  } finally {
    await yard.close(!good);
    execFileSync('umount', [data]);
    rmdirSync(data);
  }
});
