import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { absent, nest, put, read } from '#test/contract/kv-suite.ts';
import { clusterForFile, connect, etcds } from './servers.ts';

for (const programs of await etcds())
  describe(`Reads on etcd ${programs.version}`, async () => {
    const cluster = await clusterForFile({ programs });
    const kv = connect(cluster.endpoints);

    const requests = 20;
    /** etcd may have one of its own meanwhile: soon after its start it agrees on its version. */
    const own = 1;
    async function committed(): Promise<number> {
      const text = await (await fetch(`${cluster.members[0]?.metrics}/metrics`)).text();
      return Number(/^etcd_server_proposals_committed_total (\S+)$/m.exec(text)?.[1]);
    }

    it('packed like transactions cost no commit, and where one of them compares they do', async () => {
      await kv.txn({ compare: [], then: [put('a')] });
      const before = await committed();
      const looks = Array.from({ length: 60 }, () => nest({ then: [read('a'), read('b', 'c')] }));
      for (let n = 0; n < requests; n++) {
        const { results } = await kv.txn({ compare: [], then: looks });
        assert.equal(results.length, looks.length);
      }
      const after = await committed();
      assert.ok(after - before <= own, `${after - before} commits`);
      for (let n = 0; n < requests; n++)
        await kv.txn({ compare: [], then: [nest({ compare: [absent('b')], then: [read('a')] })] });
      const compared = (await committed()) - after;
      assert.ok(compared >= requests && compared <= requests + own, `${compared} commits`);
    });
  });
