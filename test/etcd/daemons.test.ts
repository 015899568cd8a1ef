import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { until } from '#test/until.ts';
import { type Daemon, Daemons } from './daemons.ts';
import { clusterForFile, etcds } from './servers.ts';

const [programs] = await etcds();
if (!programs) throw new Error('no etcd');
const { endpoints } = await clusterForFile({ programs });
const skip = process.platform === 'linux' ? false : 'agents run on Linux';

describe('agents and servers as daemons of their own', { skip }, () => {
  let fleet: Daemons;
  /** One server answers what another was told. */
  let first: Daemon & { url: string };
  let second: Daemon & { url: string };
  let agents: Daemon[] = [];
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-daemons-'));

  before(async () => {
    fleet = new Daemons(dir, endpoints);
    first = await fleet.server();
    // Before there is a token: it says how to get one.
    // What is found about its stores may be said before that.
    await first.says(/token create NAME --role admin --direct/);
    await fleet.makeToken();
    [second, ...agents] = await Promise.all([
      fleet.server(),
      fleet.agent('w1', '--labels', 'zone=a', '--metrics', '0'),
      fleet.agent('w2', '--labels', 'zone=b', '--capacity', '7'),
    ]);
  });
  after(async () => {
    await fleet.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  /** A run as this server tells of it, once it is what `well` says. */
  const runAs = (
    what: string,
    run: string,
    url: string,
    // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
    well: (run: any) => boolean,
  ) => until(`${run} ${what}`, () => fleet.ask('GET', `/runs/${run}`, undefined, url), well);
  /** Starts a run by one server and waits by the other until its log holds something. */
  async function begin(name: string, job: object, worker: string | null, wanted: string): Promise<string> {
    await fleet.ask('PUT', `/jobs/default/${name}`, job, first.url);
    const { run } = await fleet.ask('POST', `/jobs/default/${name}/run`, { worker }, second.url);
    await until(
      `${run} to say ${wanted}`,
      () => fleet.ask('GET', `/runs/${run}/log?from=0&wait=5`, undefined, first.url),
      ({ text, done }) => {
        assert.ok(!done || text.includes(wanted), `${run} ended without saying ${wanted}: ${text}`);
        return text.includes(wanted);
      },
    );
    return run;
  }

  it('have one truth: any server answers what any other was told', async () => {
    await fleet.ask('PUT', '/jobs/default/shared', { command: 'x' }, first.url);
    const seen = await fleet.ask('GET', '/jobs/default/shared', undefined, second.url);
    assert.equal(seen.job.command, 'x');
    const made = await fleet.ask('POST', '/tokens', { name: 'v', role: 'viewer' }, second.url);
    const asked = await fetch(`${first.url}/api/v1/me`, {
      headers: { authorization: `Bearer ${made.token}` },
    });
    assert.equal(asked.status, 200);
  });

  it('show what each worker is, how its clock stands and how far its view has come', async () => {
    const { items } = await until(
      'the load figures of each worker',
      () => fleet.ask('GET', '/workers', undefined, second.url),
      ({ items }) => items.every(({ lastBeat }: { lastBeat: string | null }) => lastBeat !== null),
    );
    const facts = items.map(({ id, state, labels, capacity }: Record<string, unknown>) => ({
      id,
      state,
      labels,
      capacity,
    }));
    assert.deepEqual(facts, [
      { id: 'w1', state: 'live', labels: { zone: 'a' }, capacity: 100 },
      { id: 'w2', state: 'live', labels: { zone: 'b' }, capacity: 7 },
    ]);
    for (const { clockSkewMs, tzdata, revision, cpu, memory } of items) {
      assert.equal(clockSkewMs, 0);
      assert.equal(tzdata, process.versions.tz);
      assert.ok(
        Number(revision) > 1 && cpu >= 0 && memory > 1_000_000,
        JSON.stringify({ revision, cpu, memory }),
      );
    }
  });

  it('run a job where it is told to, by id and by labels, with its output readable elsewhere as it grows', async () => {
    const chosen = await begin('chosen', { command: 'echo here; exec sleep 300' }, 'w2', 'here');
    assert.equal((await fleet.ask('GET', `/runs/${chosen}`)).worker, 'w2');
    await fleet.ask('POST', `/runs/${chosen}/kill`, {}, second.url);
    const labelled = await begin(
      'labelled',
      { command: 'echo here', target: { labels: { zone: 'a' } } },
      null,
      'here',
    );
    assert.equal((await fleet.ask('GET', `/runs/${labelled}`)).worker, 'w1');
  });

  it('kill from any server: asked for, signalled and confirmed told apart', async () => {
    const command = `trap 'touch ${dir}/asked' TERM; echo up; until [ -e ${dir}/go ]; do sleep 0.05; done`;
    const run = await begin('stubborn', { command, killGrace: '60s' }, 'w1', 'up');
    const [worker] = agents;
    // A worker that can't take notice: what was asked for shows all the same.
    worker?.child.kill('SIGSTOP');
    const { kill: asked } = await fleet.ask('POST', `/runs/${run}/kill`, {}, second.url);
    assert.deepEqual([asked.by, asked.signalledAt, asked.confirmedAt], ['test', null, null]);
    const { kill: shown } = await fleet.ask('GET', `/runs/${run}`, undefined, first.url);
    assert.deepEqual(shown, asked);
    worker?.child.kill('SIGCONT');
    const signalled = await runAs('is signalled', run, second.url, ({ kill }) => kill.signalledAt !== null);
    assert.deepEqual([signalled.state, signalled.kill.confirmedAt], ['running', null]);
    await begin('opener', { command: `touch ${dir}/go; echo done` }, 'w2', 'done');
    const { state, kill } = await runAs('has ended', run, second.url, (run) => run.state !== 'running');
    assert.equal(state, 'killed');
    assert.ok(kill.confirmedAt >= kill.signalledAt && kill.signalledAt >= kill.requestedAt);
  });

  it('have metrics for their own host, and nothing else on that port', async () => {
    const [url = ''] = /http:\S+/.exec(agents[0]?.line ?? '') ?? [];
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
    assert.match(await (await fetch(url)).text(), /^cronfleet_runs_living \d/m);
    assert.equal((await fetch(url.replace('/metrics', '/api/v1/jobs'))).status, 404);
  });

  it('refuse a second worker of one id, and a second agent on one folder, by name', async () => {
    const twin = await fleet.agent('w1', '--data', join(dir, 'twin')).then(
      () => 'started',
      (error: Error) => error.message,
    );
    assert.match(twin, /ended with 1: [\s\S]*another agent is registered as "w1" and lives/);
    const same = await fleet.agent('w3', '--data', join(dir, 'w1')).then(
      () => 'started',
      (error: Error) => error.message,
    );
    assert.match(same, /ended with 1: .*w1\/agent\.lock: is in use by another process/);
    const { items } = await fleet.ask('GET', '/workers');
    assert.equal(items.find(({ id }: { id: string }) => id === 'w1').state, 'live');
  });

  it('let a drained worker take nothing new, and a stopped one be adopted from where it was', async () => {
    await fleet.ask('POST', '/workers/w1/drain', {}, first.url);
    const moved = await begin('moved', { command: 'echo here; exec sleep 300' }, null, 'here');
    assert.equal((await fleet.ask('GET', `/runs/${moved}`)).worker, 'w2');
    await agents[1]?.end('SIGTERM');
    const states = (await fleet.ask('GET', '/workers')).items.map(({ state }: { state: string }) => state);
    assert.deepEqual(states, ['draining', 'away']);
    await fleet.agent('w2');
    const back = await fleet.ask('GET', `/runs/${moved}`);
    assert.deepEqual([back.state, back.worker], ['running', 'w2']);
    await fleet.ask('POST', `/runs/${moved}/kill`, {}, second.url);
    await runAs('has ended', moved, first.url, ({ state }) => state !== 'running');
  });
});
