import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { planOf, RunnerHost, tagged } from './runner-host.ts';

// What a runner does where something runs out; started by runner-short.test.ts in a place where it soon does.
//   runner-short-child.ts DIR disk | files

const [dir = '', what = ''] = process.argv.slice(2);
const host = await new RunnerHost({}, dir).adopt();
const runs = () => readdirSync(join(dir, 'runs'));

if (what === 'disk') {
  const blocker = join(dir, 'blocker');
  const fill = () => {
    writeFileSync(blocker, '');
    const { bfree, bsize } = statfsSync(dir);
    for (let rest = bfree * bsize; rest >= bsize; rest = statfsSync(dir).bfree * bsize)
      writeFileSync(blocker, Buffer.alloc(rest), { flag: 'a' });
  };

  // Armed while there was room: its marker has none any more, so it is not started, and that is told.
  const unmarked = planOf('unmarked', { command: 'echo no', gate: 'first' });
  assert.equal(await host.arm(unmarked), null);
  fill();
  await host.claim(unmarked);
  await host.release('first');
  assert.equal((await host.ended(unmarked.run)).how, 'not_started');

  // Nothing can be armed: a refusal by name, no process, no directory.
  const before = runs();
  assert.equal(await host.arm(planOf('refused', { command: 'x' })), 'disk_full');
  assert.deepEqual(runs(), before);
  assert.deepEqual(tagged(planOf('refused', { command: 'x' }).run), []);
  assert.ok(host.events.some(({ type }) => type === 'disk.full'));

  // Claimed while there was room: its start finds none for its note, and does not happen.
  rmSync(blocker);
  const claimed = planOf('claimed', { command: 'echo yes; exit 4', gate: 'second' });
  assert.equal(await host.arm(claimed), null);
  await host.claim(claimed);
  fill();
  await host.release('second');
  const second = await host.ended(claimed.run);
  assert.equal(second.how, 'not_started');
  assert.match(second.reason, /noted on the disk/);

  // Full while it runs: its status is known all the same.
  rmSync(blocker);
  const go = join(dir, 'go');
  writeFileSync(go, '');
  const living = await host.begin('living', {
    command: `echo up; while [ -e ${go} ]; do sleep 0.02; done; exit 4`,
  });
  await host.ledger.says(living, 'up');
  // Filled while it waits: its end would take some of what `fill` has just seen to be free.
  fill();
  rmSync(go);
  const end = await host.ended(living);
  assert.deepEqual([end.how, end.exitCode], ['exited', 4]);
  rmSync(blocker);
} else {
  const plans = Array.from({ length: 60 }, (_, i) =>
    planOf(`many-${i}`, { command: 'echo ran', gate: 'many' }),
  );
  const results = await host.runner.arm(plans);
  const armed = plans.filter(({ run }) => results.get(run) === null);
  const codes = new Set([...results.values()].map((refused) => refused?.code));
  assert.deepEqual(codes, new Set([undefined, 'spawn_failed']));
  assert.deepEqual(runs().sort(), armed.map(({ run }) => run).sort(), 'of a refused run nothing is left');
  for (const plan of armed) await host.claim(plan);
  await host.release('many');
  const ends = await Promise.all(armed.map(({ run }) => host.ended(run)));
  // One whose marker could not be opened has not started; none is lost, and none is both.
  for (const { how } of ends) assert.ok(how === 'exited' || how === 'not_started', how);
  for (const { run } of armed) await host.runner.forget(run);
  assert.equal((await host.run('afterwards', { command: 'echo again' })).text, 'again\n');
}
await host.close();
assert.equal(existsSync(dir), false);
