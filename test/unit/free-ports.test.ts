import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { freePorts } from '#infra/free-ports.ts';
import { within } from '#test/until.ts';

/** Of so many, drawn by two from the same thousands, seven would be the same ones. */
const count = 400;
const module = new URL('../../infra/free-ports.ts', import.meta.url).href;
const other = `
  const { freePorts } = await import(${JSON.stringify(module)});
  console.log((await freePorts(${count})).join());
  process.stdin.resume();
`;

it('no two processes of a host are given the same free port', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', other], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  try {
    const [line] = await within(
      'the other process to say its ports',
      once(createInterface(child.stdout), 'line'),
      () => 'nothing',
    );
    const theirs = new Set(String(line).split(',').map(Number));
    assert.equal(theirs.size, count);
    const ours = await freePorts(count);
    assert.deepEqual(
      ours.filter((port) => theirs.has(port)),
      [],
    );
  } finally {
    child.stdin.end();
    await ended;
  }
});
