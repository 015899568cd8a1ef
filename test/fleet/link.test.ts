import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';
import { isCi } from '#test/effort.ts';
import { within } from '#test/until.ts';
import { openLink } from './link.ts';

const link = await openLink(1);

if ('missing' in link) {
  if (isCi && process.getuid?.() === 0) throw new Error(link.missing);
  console.log(`NOT RUN HERE: a cable to a network namespace: ${link.missing}`);
}

describe('a cable to a network namespace', () => {
  it('that is pulled lets nothing through and tells no end, and what was under way arrives when it is plugged in again', async (t) => {
    if ('missing' in link) return;
    const [listener] = link.listeners;
    assert.ok(listener !== undefined);
    const { address, port } = listener.address() as AddressInfo;
    const said: string[] = [];
    const came = once(listener, 'connection') as Promise<[Socket]>;
    // Says back whatever it hears, and says so when the line ends.
    const script = `const s = require('node:net').connect(${port}, '${address}'); s.on('data', (d) => { console.log(String(d)); s.write(d); }); s.on('error', console.log); s.on('close', () => console.log('ended'))`;
    const [program = '', ...args] = [...link.behind, process.execPath, '-e', script];
    const far = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const gone = once(far, 'exit');
    t.after(async () => {
      far.kill('SIGKILL');
      await gone;
      listener.close();
      await link.close();
    });
    far.stdout.setEncoding('utf8').on('data', (text: string) => said.push(text.trim()));
    const [socket] = await within('the far end to connect', came, () => said);
    t.after(() => socket.destroy());
    socket.setEncoding('utf8');
    socket.write('whole');
    assert.deepEqual(await once(socket, 'data'), ['whole']);
    await link.pull();
    const late = once(socket, 'data');
    socket.write('pulled');
    // Longer than a whole line takes, a thousand times over.
    const first = await Promise.race([late, new Promise((resolve) => setTimeout(resolve, 500, 'nothing'))]);
    assert.equal(first, 'nothing');
    assert.deepEqual(said, ['whole']);
    await link.plug();
    assert.deepEqual(await within('what was under way', late, () => said), ['pulled']);
    assert.deepEqual(said, ['whole', 'pulled']);
    socket.destroy();
    await within('the far end to end', gone, () => said);
  });
});
