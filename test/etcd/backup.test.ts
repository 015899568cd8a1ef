import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { compareRevisions, type Kv, prefixRange } from '#core/ports/kv.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { absent, put } from '#test/contract/kv-suite.ts';
import { run, script } from './scripts.ts';
import { clusterForFile, connect, etcds, lineTo } from './servers.ts';
import { viewOf } from './view.ts';

const folder = mkdtempSync(join(tmpdir(), 'cronfleet-backup-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const write = (kv: Kv, key: string, value = 'v') => kv.txn({ compare: [], then: [put(key, value)] });

for (const programs of await etcds())
  describe(`A backup of etcd ${programs.version}`, () => {
    it('is restored to one member that followers of the lost one take up, without an old revision for a new', async () => {
      const dir = mkdtempSync(join(folder, 'one-'));
      const [backup, data] = [join(dir, 'backup.db'), join(dir, 'data')];
      const lost = await clusterForFile({ programs });
      const proxy = await lineTo(lost.endpoints);
      const [kv, direct] = [connect(proxy.endpoint), connect(lost.endpoints)];
      await write(direct, 'cursors/a', 'before');
      const env = { ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: lost.endpoints };
      await run([programs.etcdctl, 'snapshot', 'save', backup], env);
      const view = viewOf(kv, 'cursors/');
      await view.until(() => view.lists() === 1);
      for (let n = 0; n < 20; n++) await write(direct, 'cursors/a', `lost ${n}`);
      await view.until(() => view.keys.get('cursors/a') === 'lost 19');
      const claim = (await direct.range({ key: 'cursors/a' })).entries[0];
      assert.ok(claim);
      proxy.block();
      await direct.close();
      await lost.stop();

      const said = await script(lost, ['restore.sh', backup, data]);
      await assert.rejects(script(lost, ['restore.sh', backup, data]), /is there; move it away first/);
      const restored = await clusterForFile({ programs, data: () => data });
      const after = connect(restored.endpoints);
      const now = (await after.range({ key: 'cursors/a' })).entries[0];
      assert.equal(
        now?.value,
        'before',
        'the cursor has gone back: README.md says what to do before workers start',
      );
      const present = (await after.range({ key: 'none' })).revision;
      const bumped = programs.etcdutl !== null;
      assert.equal(compareRevisions(present, claim.mod) > 0, bumped, said);
      // A decision made on what was lost is refused, whatever is written since.
      for (let n = 0; n < 3; n++) await write(after, 'cursors/b', `${n}`);
      const stale = await after.txn({
        compare: [{ key: 'cursors/a', target: 'mod', op: '=', revision: claim.mod }],
        then: [put('cursors/a', 'stale')],
      });
      assert.equal(stale.succeeded, false);
      proxy.redirect(restored.endpoints);
      proxy.open();
      await view.restored(
        () => view.keys.get('cursors/a') === 'before' && view.keys.get('cursors/b') === '2',
      );
      await write(after, 'cursors/c');
      await view.until(() => view.keys.has('cursors/c'));
      await view.stop();
      await Promise.all([kv.close(), after.close(), proxy.close()]);
    });

    it('is restored to three members', async () => {
      const dir = mkdtempSync(join(folder, 'three-'));
      const backup = join(dir, 'backup.db');
      const lost = await clusterForFile({ programs, members: 3 });
      const kv = connect(lost.endpoints);
      for (let n = 0; n < 5; n++) await write(kv, `jobs/${n}`);
      await kv.close();
      const [member] = lost.members;
      assert.ok(member);
      const env = { ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: member.endpoint };
      await run([programs.etcdctl, 'snapshot', 'save', backup], env);
      await lost.stop();
      const restored = await clusterForFile({
        programs,
        members: 3,
        prepare: async ({ name, peer, cluster, data }) => {
          await script(lost, ['restore.sh', backup, data, name, peer, cluster]);
        },
      });
      const again = connect(restored.endpoints);
      assert.equal((await again.range(prefixRange('jobs/'))).count, 5);
      const made = await again.txn({ compare: [absent('jobs/5')], then: [put('jobs/5')] });
      assert.equal(made.succeeded, true);
      await again.close();
    });
  });

describe('The recommended settings', () => {
  it('are understood by each version', async () => {
    const text = readFileSync(join(projectFolder, 'infra/etcd/etcd.conf.yaml'), 'utf8');
    const pki = join(folder, 'pki');
    await run(['sh', join(projectFolder, 'infra/etcd/certificates.sh'), pki, '127.0.0.1']);
    for (const programs of await etcds()) {
      const cluster = await clusterForFile({
        programs,
        configFile: ({ name, client, peer, metrics, cluster, data }) => {
          const recommended = parse(text.replaceAll('/etc/etcd/', `${pki}/`));
          const file = join(folder, `${programs.version}.yaml`);
          const own = {
            ...recommended,
            ...{ name, 'data-dir': data, 'initial-cluster': cluster, 'listen-metrics-urls': metrics },
            ...{ 'listen-client-urls': client, 'advertise-client-urls': client },
            ...{ 'listen-peer-urls': peer, 'initial-advertise-peer-urls': peer },
          };
          // Every name of the file is one that this version knows: etcd takes unknown ones without a word.
          writeFileSync(file, stringify(own));
          return file;
        },
        tls: { ca: `${pki}/ca.pem`, cert: `${pki}/server.pem`, key: `${pki}/server.key`, clientCerts: true },
      });
      const help = await run([programs.etcd, '--help']);
      for (const name of Object.keys(parse(text)))
        if (!name.endsWith('-security')) assert.match(help, new RegExp(`--${name}\\b`), programs.version);
      const said = await run([programs.etcdctl, 'endpoint', 'status', '--write-out=json'], {
        ETCDCTL_API: '3',
        ETCDCTL_ENDPOINTS: `https://${cluster.endpoints}`,
        ETCDCTL_CACERT: `${pki}/ca.pem`,
        ETCDCTL_CERT: `${pki}/root.pem`,
        ETCDCTL_KEY: `${pki}/root.key`,
      });
      assert.match(said, new RegExp(programs.version.replaceAll('.', '\\.')));
      await cluster.stop();
    }
  });
});
