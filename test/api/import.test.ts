import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { commandLine, meddledCommandLine } from './command-line.ts';
import { type Api, makeApp } from './make-app.ts';

describe('an import while others change the same jobs', () => {
  let api: Api;
  let dir: string;
  beforeEach(async () => {
    api = await makeApp();
    dir = mkdtempSync(join(tmpdir(), 'cronfleet-import-'));
  });
  afterEach(async () => {
    await api.close();
    rmSync(dir, { recursive: true });
  });

  const jobs = async () => {
    const { json } = await api.ask('GET', '/api/v1/jobs?group=crontab');
    return json.items.map(({ job }: { job: { name: string; tags: string[] } }) => job);
  };
  /** Imports the one line; in between, when it has read what there is, another host imports it, too. */
  async function imports(lines: string, ...flags: string[]) {
    const table = join(dir, 'table');
    writeFileSync(table, lines);
    let isDone = false;
    return meddledCommandLine(
      api,
      async (request) => {
        if (isDone || !request.startsWith('POST /api/v1/apply')) return;
        isDone = true;
        for (const job of await jobs()) {
          const body = {
            ...job,
            tags: [...job.tags, 'crontab:other:ann'],
            group: undefined,
            name: undefined,
          };
          await api.ask('PUT', `/api/v1/jobs/crontab/${job.name}`, { body });
        }
      },
      ...['import', table, ...flags],
    );
  }

  it('leaves the mark of another host, by which that one knows its lines', async () => {
    await imports('1 2 * * * one\n');
    await imports('# as before\n1 2 * * * one\n');
    const [{ tags }] = await jobs();
    assert.deepEqual([tags.length, tags.includes('crontab:other:ann')], [2, true]);
  });

  it('comes through where 25 hosts import the same line at once, and each has its mark', async () => {
    const tables = Array.from({ length: 25 }, (_, at) => join(dir, `of-${at}`));
    for (const table of tables) writeFileSync(table, '1 2 * * * one\n');
    const done = await Promise.all(tables.map((table) => commandLine(api, 'import', table)));
    assert.deepEqual(new Set(done.map(({ code }) => code)), new Set([0]));
    assert.equal((await jobs())[0].tags.length, tables.length);
  });

  it('deletes none that has come to stand in a table of another host since it was seen', async () => {
    await imports('1 2 * * * one\n');
    const { code, out } = await imports('# nothing\n', '--prune');
    assert.deepEqual([code, / deleted/.test(out)], [0, false], out);
    assert.deepEqual((await jobs())[0].tags, ['crontab:other:ann']);
  });

  it('leaves what people set, and names what it sets back', async () => {
    await imports('1 2 * * * one\n');
    const [{ name }] = await jobs();
    const set = async (more: object) => {
      const [{ group: _, name: __, ...job }] = await jobs();
      await api.ask('PUT', `/api/v1/jobs/crontab/${name}`, { body: { ...job, ...more } });
    };
    await set({ timeout: '5m' });
    const kept = await commandLine(api, 'import', join(dir, 'table'));
    assert.match(kept.out, /0 taken over, 0 changed, 1 unchanged/);
    assert.doesNotMatch(kept.out, /WHAT/);
    await set({ schedule: '@daily' });
    const back = await commandLine(api, 'import', join(dir, 'table'));
    assert.match(back.out, /^changed .* schedule: "@daily" -> "1 2 \* \* \*"$/m);
    assert.equal((await jobs())[0].timeout, '5m');
  });

  it('says that each worker may run the jobs, unless it is told which may', async () => {
    writeFileSync(join(dir, 'table'), '1 2 * * * one\n');
    const run = async (...flags: string[]) =>
      (await commandLine(api, 'import', join(dir, 'table'), ...flags)).notes;
    const each = /each of the 2 workers may run .*--workers/;
    await api.registered('w1');
    await api.registered('w2', { labels: { zone: 'a' } });
    assert.match(await run('--dry-run'), each);
    assert.doesNotMatch(await run('--dry-run', '--labels', 'zone=a'), each);
    assert.match(await run('--dry-run', '--workers', 'w1,w9'), /--workers w9: there is no such worker/);
    assert.doesNotMatch(await run('--workers', 'w1'), each);
    assert.doesNotMatch(await run(), each);
    assert.deepEqual((await jobs())[0].target, { workers: ['w1'], labels: {} });
  });

  it('says of what is only shown that it would be done', async () => {
    await imports('1 2 * * * one\n');
    writeFileSync(join(dir, 'table'), '1 2 * * * two\n');
    const { out } = await commandLine(api, 'import', join(dir, 'table'), '--dry-run', '--prune');
    for (const pattern of [
      /^would be taken over +crontab\/two-/m,
      /^would be deleted +crontab\/one-/m,
      /^1 would be taken over, 0 would be changed, 0 unchanged, 1 would be deleted, 0 lines not taken over/m,
    ])
      assert.match(out, pattern);
  });
});
