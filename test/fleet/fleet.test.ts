import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Fleet, startFleet } from '#infra/fleet/fleet.ts';
import type { FleetFile } from '#infra/fleet/fleet-file.ts';
import { until } from '#test/until.ts';

const folder = join(mkdtempSync(join(tmpdir(), 'cronfleet-fleet-')), 'fleet');
/** Until it is there a run of `lasting` lives. */
const go = join(folder, '../go');
const told: string[] = [];
let fleet: Fleet;

const start = () => startFleet({ folder, port: 0, restartMs: 100, tell: (line) => void told.push(line) });
const file = (): FleetFile => JSON.parse(readFileSync(join(folder, 'fleet.json'), 'utf8'));

// biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
async function ask(server: number, method: string, path: string, body?: unknown): Promise<any> {
  const { servers, token } = file();
  const answer = await fetch(`${servers[server]?.url}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
}

/** What a run has printed, once it is so much or the run has ended; waited for at one server by long polls. */
async function printed(server: number, run: string, enough: (text: string) => boolean): Promise<string> {
  let text = '';
  let from = 0;
  await until(
    `the output of ${run}`,
    async () => {
      const part = await ask(server, 'GET', `/runs/${run}/log?from=${from}&wait=20`);
      text += part.text;
      from = part.next;
      return { ...part, text };
    },
    ({ done }) => done || enough(text),
  );
  return text;
}
const begun = (server: number, run: string) => printed(server, run, (text) => text !== '');

/** The end of a run. */
async function end(server: number, run: string): Promise<{ state: string; text: string }> {
  const text = await printed(server, run, () => false);
  return { state: (await ask(server, 'GET', `/runs/${run}`)).state, text };
}

describe('npm run fleet', () => {
  before(async () => {
    fleet = await start();
  });
  after(async () => {
    writeFileSync(go, '');
    await fleet?.stop();
    rmSync(join(folder, '..'), { recursive: true });
  });

  it('tells in fleet.json, for its owner alone, who is where', () => {
    const { url, token, servers, agents, etcd, history } = file();
    assert.equal(statSync(join(folder, 'fleet.json')).mode & 0o777, 0o600);
    assert.equal(servers[0]?.url, url);
    assert.match(token, /^cf_/);
    assert.deepEqual([servers.length, agents.length, etcd.length], [2, 3, 3]);
    for (const { pid } of [...servers, ...agents, ...etcd, history]) assert.ok((pid ?? 0) > 0);
  });

  it('has a job saved at one server run, and be read at the other', async () => {
    await ask(0, 'PUT', '/jobs/default/hello', { command: 'echo hello', schedule: null });
    const { run } = await ask(0, 'POST', '/jobs/default/hello/run', {});
    assert.deepEqual(await end(1, run), { state: 'succeeded', text: 'hello\n' });
  });

  it('kills through one server what was started through the other', async () => {
    await ask(1, 'PUT', '/jobs/default/long', { command: 'echo up; exec sleep 300', schedule: null });
    const { run } = await ask(1, 'POST', '/jobs/default/long/run', {});
    await begun(0, run);
    await ask(0, 'POST', `/runs/${run}/kill`, {});
    assert.equal((await end(1, run)).state, 'killed');
  });

  it('starts again what somebody kills, under another pid, and what ran goes on', async () => {
    // It ends only once another life of its agent is there, which then is who tells its end.
    const lasting = `echo up; until [ -e ${go} ]; do sleep 0.1; done; echo done`;
    await ask(0, 'PUT', '/jobs/default/lasting', { command: lasting, schedule: null });
    const { run } = await ask(0, 'POST', '/jobs/default/lasting/run', {});
    await begun(0, run);
    const { worker } = await ask(0, 'GET', `/runs/${run}`);
    const pidOf = () => file().agents.find(({ id }) => id === worker)?.pid ?? null;
    const before = pidOf();
    assert.ok(before !== null);
    // Or they would close it where, on a busy machine, the next life takes longer to come than a lease lasts.
    const others = file().agents.flatMap(({ id, pid }) => (id === worker ? [] : (pid ?? [])));
    for (const other of others) process.kill(other, 'SIGSTOP');
    process.kill(before, 'SIGKILL');
    await until('another life of it', pidOf, (now) => now !== null && now !== before);
    writeFileSync(go, '');
    assert.deepEqual(await end(0, run), { state: 'succeeded', text: 'up\ndone\n' });
    for (const other of others) process.kill(other, 'SIGCONT');
    assert.match(told.join('\n'), new RegExp(`${worker} ended \\(signal SIGKILL\\)`));
  });

  it('goes on with two members of etcd', async () => {
    process.kill(file().etcd[1]?.pid ?? 0, 'SIGKILL');
    // While they agree on a leader somebody may be told to ask again.
    const { run } = await until(
      'a run to be taken',
      () => ask(1, 'POST', '/jobs/default/hello/run', {}).catch(({ message }) => ({ message })),
      ({ run }) => run !== undefined,
    );
    assert.equal((await end(0, run)).state, 'succeeded');
  });

  it('refuses a second fleet in its folder, and comes back on the same ports with the same token', async () => {
    await assert.rejects(start, /a fleet is running from it already \(pid \d+\)/);
    const { url, token } = file();
    await fleet.stop();
    fleet = await start();
    assert.deepEqual([file().url, file().token], [url, token]);
    assert.equal((await ask(0, 'GET', '/jobs/default/hello')).job.command, 'echo hello');
  });
});
