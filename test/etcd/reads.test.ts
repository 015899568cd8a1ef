import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { absent, nest, put, read } from '#test/contract/kv-suite.ts';
import { until } from '#test/until.ts';
import { clusterForFile, connect, etcds } from './servers.ts';

interface Versions {
  etcdserver: string;
  etcdcluster: string;
}

for (const programs of await etcds())
  describe(`Reads on etcd ${programs.version}`, async () => {
    const cluster = await clusterForFile({ programs });
    const kv = connect(cluster.endpoints);

    const requests = 20;
    /** Soon after its start etcd has commits of its own, until it has agreed with itself on its version. */
    const settled = () =>
      until(
        'etcd to know its version',
        async () => (await (await fetch(`http://${cluster.endpoints}/version`)).json()) as Versions,
        ({ etcdserver, etcdcluster }) => etcdcluster === etcdserver.replace(/\d+$/, '0'),
      );
    async function committed(): Promise<number> {
      const text = await (await fetch(`${cluster.members[0]?.metrics}/metrics`)).text();
      return Number(/^etcd_server_proposals_committed_total (\S+)$/m.exec(text)?.[1]);
    }

    it('packed like transactions cost no commit, and where one of them compares they do', async () => {
      await settled();
      await kv.txn({ compare: [], then: [put('a')] });
      const before = await committed();
      const looks = Array.from({ length: 60 }, () => nest({ then: [read('a'), read('b', 'c')] }));
      for (let n = 0; n < requests; n++) {
        const { results } = await kv.txn({ compare: [], then: looks });
        assert.equal(results.length, looks.length);
      }
      const after = await committed();
      assert.equal(after - before, 0);
      for (let n = 0; n < requests; n++)
        await kv.txn({ compare: [], then: [nest({ compare: [absent('b')], then: [read('a')] })] });
      assert.equal((await committed()) - after, requests);
    });
  });
