import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { prefixRange } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { openKv } from '#core/stores/open.ts';
import { buildProgram, programPath } from '#infra/scripts/build.ts';
import { within } from '#test/until.ts';
import { clusterForFile, etcds } from './servers.ts';

const [programs] = await etcds();
if (!programs) throw new Error('no etcd');
const { endpoints } = await clusterForFile({ programs });
const folder = mkdtempSync(join(tmpdir(), 'cronfleet-open-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('etcd by URL', () => {
  it('is opened, with members that are away among those that are not', async () => {
    const kv = await openKv(`etcd://127.0.0.1:1,${endpoints}`, systemClock(), systemIds());
    const { revision } = await kv.txn({ compare: [], then: [{ type: 'put', key: 'k', value: 'v' }] });
    assert.equal((await kv.range({ key: 'k' })).entries[0]?.mod, revision);
    await kv.close();
  });
  it('is opened while it is away as a whole: each call then says where it was looked for', async () => {
    const kv = await openKv('etcd://127.0.0.1:1,127.0.0.1:2', systemClock(), systemIds());
    await assert.rejects(kv.range({ key: 'k' }), {
      code: 'unavailable',
      message: /etcd at 127\.0\.0\.1:[12] refuses connections; expected a running etcd there/,
    });
    await kv.close();
  });

  it('serves the program as it ships, alone in an empty folder', async () => {
    const shipped = join(folder, 'shipped');
    await buildProgram(shipped);
    const args = [
      'up',
      '--data',
      join(folder, 'data'),
      '--listen',
      '127.0.0.1:0',
      '--kv',
      `etcd://${endpoints}`,
    ];
    const up = spawn(process.execPath, [join(shipped, programPath), ...args], {
      cwd: folder,
      env: { PATH: '/usr/bin:/bin', HOME: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = new Promise<number | null>((resolve) => up.on('close', resolve));
    // One that a failed assertion leaves.
    after(() => up.kill('SIGKILL'));
    let said = '';
    const ready = new Promise<void>((resolve, reject) => {
      for (const stream of [up.stdout, up.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          said += text;
          if (said.includes('cronfleet is up: http://127.0.0.1:')) resolve();
        });
      up.on('exit', () => reject(new Error(`ended before it was up: ${said}`)));
    });
    await within('it to be up', ready, () => said);
    const { url, token } = JSON.parse(readFileSync(join(folder, 'data/client.json'), 'utf8'));
    const saved = await fetch(`${url}/api/v1/jobs/default/one`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ command: 'true', schedule: null }),
    });
    assert.equal(saved.status, 201, await saved.text());
    up.kill('SIGTERM');
    assert.equal(await within('its end by SIGTERM', ended, () => said), 0, said);
    const kv = await openKv(`etcd://${endpoints}`, systemClock(), systemIds());
    const { entries } = await kv.range(prefixRange('/cron/jobs/'), { keysOnly: true });
    assert.deepEqual(
      entries.map(({ key }) => key),
      ['/cron/jobs/default/one'],
    );
    await kv.close();
  });
});
