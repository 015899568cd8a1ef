import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { prefixRange } from '#core/ports/kv.ts';
import type { EtcdKv } from '#core/stores/kv/etcd/etcd-kv.ts';
import type { Cluster } from '#infra/etcd/cluster.ts';
import { put } from '#test/contract/kv-suite.ts';
import { until } from '#test/until.ts';
import { type Daemon, Daemons } from './daemons.ts';
import { run } from './scripts.ts';
import { clusterForFile, connect, etcds } from './servers.ts';

const skip = process.platform === 'linux' ? false : 'agents run on Linux';

for (const programs of await etcds())
  describe(`A fleet whose etcd ${programs.version} runs out of space`, { skip }, async () => {
    const cluster: Cluster = await clusterForFile({ programs, flags: ['--quota-backend-bytes=4000000'] });
    const dir = mkdtempSync(join(tmpdir(), 'cronfleet-no-space-'));
    const fleet = new Daemons(dir, cluster.endpoints);
    const kv: EtcdKv = connect(cluster.endpoints);
    let server: Daemon;
    let agents: Daemon[] = [];
    const etcdctl = (...args: string[]) =>
      run([cluster.programs.etcdctl, ...args], { ETCDCTL_ENDPOINTS: cluster.endpoints, ETCDCTL_API: '3' });
    const runs = async (name: string): Promise<{ instant: string; state: string; until: string | null }[]> =>
      (await fleet.ask('GET', `/runs?job=default/${name}&limit=500`)).items;

    before(async () => {
      await fleet.makeToken();
      [server, ...agents] = await Promise.all([fleet.server(), fleet.agent('w1'), fleet.agent('w2')]);
    });
    after(async () => {
      await fleet.stop();
      await kv.close();
      rmSync(dir, { recursive: true });
    });

    it('says so, and when there is space again every run ends and every instant is accounted for', async () => {
      const go = join(dir, 'go');
      const lasting = `echo up; until [ -e ${go} ]; do sleep 0.1; done; echo done`;
      await fleet.ask('PUT', '/jobs/default/often', { command: 'echo hi', schedule: '* * * * * *' });
      await fleet.ask('PUT', '/jobs/default/again', {
        ...{ command: 'exit 3', schedule: '*/2 * * * * *', overlap: 'queue' },
        retry: { attempts: 1, backoff: '1s' },
      });
      await fleet.ask('PUT', '/jobs/default/lasting', { command: lasting, schedule: null });
      const { run: id } = await fleet.ask('POST', '/jobs/default/lasting/run', {});
      while ((await fleet.ask('GET', `/runs/${id}/log?from=0&wait=20`)).text === '');
      await assert.rejects(
        (async () => {
          for (let n = 0; ; n++)
            await kv.txn({ compare: [], then: [put(`/fill/${n}`, 'x'.repeat(100_000))] });
        })(),
        { code: 'full' },
      );
      await assert.rejects(
        fleet.ask('PUT', '/jobs/default/new', { command: 'x' }),
        /503.*store_unavailable.*out of space and takes no writes/,
      );
      const doctor = await fleet.cli('doctor', '--kv', `etcd://${cluster.endpoints}`);
      assert.match(doctor.out, /BAD .*out of space.*etcdctl compact REVISION.*alarm disarm/);
      // It ends while nothing can be written.
      writeFileSync(go, '');
      // 3.4 looks at no put in a nested transaction, so there the agents notice nothing.
      const deaf = programs.version.startsWith('3.4.');
      for (const agent of deaf ? [] : agents)
        while (!/"code":"store_full".*database space exceeded/.test(agent.err()))
          await once(agent.child.stderr ?? assert.fail(), 'data');
      // More than a lease's whole time.
      await sleep(12_000);

      await kv.txn({ compare: [], then: [{ type: 'delete', ...prefixRange('/fill/') }] });
      const { revision } = await kv.range({ key: '/fill/' });
      await etcdctl('compact', revision);
      await etcdctl('defrag');
      await etcdctl('alarm', 'disarm');
      const ended = async () => (await fleet.ask('GET', `/runs/${id}`)).state;
      await until('the run that ended meanwhile to say so', ended, (state) => state === 'succeeded');
      const since = Date.now();
      const newest = async () => Date.parse((await runs('often'))[0]?.instant ?? '');
      await until('a run after all was well again', newest, (at) => at >= since + 2_000);
      // What one of them holds back behind a living run gets its record by this very request.
      for (const name of ['often', 'again'])
        await fleet.ask('PUT', `/jobs/default/${name}`, { command: 'x', enabled: false });
      const keysOf = async (prefix: string) =>
        (await kv.range(prefixRange(prefix))).entries.map(({ key }) => key);
      const none = (keys: readonly string[]) => keys.length === 0;
      await until('every run to end', () => keysOf('/cron/running/'), none);
      // What could not be handed on at once is by the keeper's second look.
      await until('History to have all records', () => keysOf('/cron/owed/'), none, { patienceMs: 180_000 });
      for (const [name, everyMs] of [
        ['often', 1_000],
        ['again', 2_000],
      ] as const) {
        const known = (await runs(name)).filter(({ instant }) => instant !== null);
        const covered = known.map(({ instant, until: last }) => [
          Date.parse(instant),
          Date.parse(last ?? instant),
        ]);
        const first = Math.min(...covered.map(([at = 0]) => at));
        for (let at = first; at <= since; at += everyMs)
          assert.ok(
            covered.some(([from = 0, to = 0]) => from <= at && at <= to),
            `${name} ${new Date(at).toISOString()} has no record`,
          );
        assert.ok(known.every(({ state }) => !['claimed', 'running', 'waiting'].includes(state)));
      }
      for (const { err } of [server, ...agents]) assert.doesNotMatch(err(), /agent\.fault/);
    });
  });
