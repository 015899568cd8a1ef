import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { applyJobs } from '#core/cluster/apply.ts';
import { checkJob } from '#core/cluster/check-job.ts';
import { deleteJob, getJob, saveJob } from '#core/cluster/jobs.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import type { JobInput } from '#core/model/job.ts';
import type { Kv } from '#core/ports/kv.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { kvFindings, openKv } from '#core/stores/open.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { absent, nest, put } from '#test/contract/kv-suite.ts';
import { run, script } from './scripts.ts';
import { clusterForFile, describeEach, patientClock, untroubledClock } from './servers.ts';
import { viewOf } from './view.ts';

/** Closed at the latest when the test ends that asks for it. */
const open = async (url: string) => {
  const kv = await openKv(url, patientClock(), systemIds());
  after(() => kv.close());
  return kv;
};
const passwords = {
  CRONFLEET_ROOT_PASSWORD: 'root-secret',
  CRONFLEET_API_PASSWORD: 'api-secret',
  CRONFLEET_WORKER_PASSWORD: 'worker-secret',
};

/** What follows is what cluster/ sends, in small. */
const save = put('/cron/jobs/default/one', '{}');
const claim = [put('/cron/cursors/default/one/~', '{}'), put('/cron/running/default/one/~/r1', '{}')];
const write = (kv: Kv, ...then: Parameters<typeof nest>[0]['then'] & object) => kv.txn({ compare: [], then });
const forbidden = { code: 'forbidden', message: /etcd at .* permission denied/ };

async function checkRights(api: Kv, worker: Kv, version: string): Promise<void> {
  await write(api, save, put('/cron/tokens/t', '{}'), put('/cron/orders/default/one/o', '{}'));
  assert.equal((await api.range({ key: '/cron/running/', end: '/cron/running0' })).count, 0);
  await assert.rejects(write(api, ...claim), forbidden);

  const lease = await worker.grant(60_000);
  await write(worker, put('/cron/workers/w1', '{}', lease));
  assert.equal(await worker.renew(lease), 60_000);
  const view = viewOf(worker, '/cron/jobs/');
  await view.until(() => view.keys.has('/cron/jobs/default/one'));
  const claimed = await worker.txn({
    compare: [absent('/cron/drains/w1')],
    then: [
      nest({
        compare: [absent('/cron/running/default/one/~/', '/cron/running/default/one/~0')],
        then: claim,
      }),
    ],
  });
  assert.equal(claimed.succeeded, true);
  await assert.rejects(write(worker, save), forbidden);
  await assert.rejects(write(worker, { type: 'delete', key: '/cron/jobs/default/one' }), forbidden);
  await assert.rejects(worker.range({ key: '/cron/tokens/t' }), forbidden);
  await assert.rejects(viewOf(worker, '/cron/tokens/').ended, forbidden);
  const sneaked = write(worker, nest({ then: [nest({ then: [save] })] }));
  // What `etcd_roles` of the findings warns of: see infra/etcd/roles.sh.
  if (version.startsWith('3.4.')) await sneaked;
  else await assert.rejects(sneaked, forbidden);
  await worker.revoke(lease);
  await view.stop();
}

/** Who ends a version moves cursors: with a delete, and where a new target leaves a lane out. */
async function checkSettles(api: Kv, worker: Kv): Promise<void> {
  const layout = layoutOf();
  const minute = 60_000;
  let now = Date.UTC(2026, 10, 22, 16, 35);
  const store = { kv: api, layout, now: () => now };
  const job = (name: string, more: Partial<JobInput> = {}) =>
    checkJob({ group: 'due', name, command: 'true', schedule: '* * * * *', ...more });
  const save = (name: string, more: Partial<JobInput> = {}) =>
    saveJob(store, job(name, more), { by: 'me', condition: {}, cronExpr: null });
  const cursorOf = async (id: string, lane: string) =>
    JSON.parse((await api.range({ key: layout.cursor(id, lane) })).entries[0]?.value ?? '{}').instant;

  for (const name of ['gone', 'pruned']) await save(name);
  await save('moved', { mode: 'all', target: { workers: ['w1', 'w2'] } });
  const decided = JSON.stringify({ instant: now, from: 'w1', why: 'run', run: null });
  await write(worker, put(layout.cursor('due/moved', 'w1'), decided));
  now += 2.5 * minute;
  const last = now - minute / 2;
  await deleteJob(store, 'due/gone', {});
  assert.equal(await cursorOf('due/gone', '~'), last);
  const moved = { mode: 'all' as const, target: { workers: ['w2'] } };
  await save('moved', moved);
  assert.equal(await cursorOf('due/moved', 'w1'), last);
  await applyJobs(store, [job('moved', moved)], { by: 'me', dryRun: false, prune: 'due' });
  assert.deepEqual([await getJob(store, 'due/pruned'), await cursorOf('due/pruned', '~')], [null, last]);
}

await describeEach('Users of', (programs) => {
  const folder = mkdtempSync(join(tmpdir(), 'cronfleet-access-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const fileOf = (password: string) => {
    const file = join(folder, password);
    writeFileSync(file, `${password}\n`);
    return file;
  };

  describe('with passwords', async () => {
    const ttlSeconds = 1;
    const flags = [`--auth-token-ttl=${ttlSeconds}`];
    const cluster = await clusterForFile({ programs, members: 3, flags });
    const urlOf = (user: string, password: string) =>
      `etcd://${cluster.endpoints}?user=${user}&password-file=${fileOf(password)}`;

    it('are made by one script, which may be run again', async () => {
      await script(cluster, ['roles.sh'], passwords);
      await script(cluster, ['roles.sh'], { ...passwords, ETCDCTL_USER: 'root:root-secret' });
      await assert.rejects(script(cluster, ['roles.sh'], passwords), /user name is empty/);
      const spaced = { ...passwords, CRONFLEET_API_PASSWORD: 'of two words' };
      await assert.rejects(script(cluster, ['roles.sh'], spaced), /CRONFLEET_API_PASSWORD: .*without blanks/);
    });

    it('may do what they must, and no more', async () => {
      const api = await open(urlOf('cronfleet-api', 'api-secret'));
      const worker = await open(urlOf('cronfleet-worker', 'worker-secret'));
      await checkRights(api, worker, programs.version);
      await checkSettles(api, worker);
      const found = await kvFindings(
        urlOf('cronfleet-worker', 'worker-secret'),
        untroubledClock(),
        systemIds(),
      );
      assert.deepEqual(
        found.filter(({ code }) => code !== 'etcd_roles'),
        [],
      );
      const [refused] = await kvFindings(
        urlOf('cronfleet-api', 'worker-secret'),
        patientClock(),
        systemIds(),
      );
      assert.equal(refused?.code, 'store_credential_refused');
      await Promise.all([api.close(), worker.close()]);
    });

    it('are refused by name with a wrong password, and without any', async () => {
      for (const [user, password] of [
        ['cronfleet-api', 'worker-secret'],
        ['nobody', 'api-secret'],
      ] as const)
        await assert.rejects(open(urlOf(user, password)), (error: Error & { code?: string }) => {
          assert.equal(error.code, 'store_credential_refused');
          assert.match(
            error.message,
            /etcd at 127\.0\.0\.1:\d+ does not know user .* with this password; expected/,
          );
          assert.ok(error.message.includes(JSON.stringify(user)) && !error.message.includes(password));
          return true;
        });
      // A current etcd does not even tell its version to nobody, so there the opening is refused.
      const tries = async () => {
        const kv = await open(`etcd://${cluster.endpoints}`);
        await write(kv, save).finally(() => kv.close());
      };
      await assert.rejects(tries(), /etcd at .* user name is empty/);
    });

    it('work on when their tokens expire, with watches and leases that were there before', async () => {
      const [api, worker] = await Promise.all([
        open(urlOf('cronfleet-api', 'api-secret')),
        open(urlOf('cronfleet-worker', 'worker-secret')),
      ]);
      const lease = await worker.grant(60_000);
      await write(worker, put('/cron/workers/w2', '{}', lease));
      const view = viewOf(worker, '/cron/orders/');
      await view.until(() => view.lists() === 1);
      for (let round = 0; round < 3; round++) {
        // No server tells when it forgets a token: real time has to pass.
        await sleep(2 * ttlSeconds * 1_000);
        assert.equal(await worker.renew(lease), 60_000);
        await sleep(2 * ttlSeconds * 1_000);
        await write(api, put(`/cron/orders/default/one/${round}`, '{}'));
        await view.until(() => view.keys.has(`/cron/orders/default/one/${round}`));
        const later = viewOf(worker, '/cron/kills/');
        await later.until(() => later.lists() === 1);
        await write(api, put(`/cron/kills/${round}`, '{}'));
        await later.until(() => later.keys.has(`/cron/kills/${round}`));
        await later.stop();
      }
      assert.equal(view.lists(), 1);
      await view.stop();
      await Promise.all([api.close(), worker.close()]);
    });

    it('take a new password from its file without a restart', async () => {
      const url = urlOf('cronfleet-worker', 'worker-secret');
      const worker = await open(url);
      await write(worker, put('/cron/workers/w3', '{}'));
      await script(cluster, ['roles.sh'], {
        ...passwords,
        CRONFLEET_WORKER_PASSWORD: 'another-one',
        ETCDCTL_USER: 'root:root-secret',
      });
      writeFileSync(join(folder, 'worker-secret'), 'another-one\n');
      await sleep(2 * ttlSeconds * 1_000);
      await write(worker, put('/cron/workers/w3', '{}'));
      await worker.close();
    });
  });

  describe('with JSON Web Tokens', () => {
    it('are signed in again after each change of a role', async () => {
      const [key, pub] = [join(folder, 'jwt.key'), join(folder, 'jwt.pub')];
      await run(['openssl', 'genrsa', '-out', key, '2048']);
      await run(['openssl', 'rsa', '-in', key, '-pubout', '-out', pub]);
      const token = `--auth-token=jwt,pub-key=${pub},priv-key=${key},sign-method=RS256,ttl=10m`;
      const cluster = await clusterForFile({ programs, flags: [token] });
      await script(cluster, ['roles.sh'], passwords);
      const user = (name: string) => `etcd://${name}-secret@${cluster.endpoints}`;
      const worker = await open(user('cronfleet-worker:worker'));
      const api = await open(user('cronfleet-api:api'));
      const view = viewOf(worker, '/cron/jobs/');
      await view.until(() => view.lists() === 1);
      for (let round = 0; round < 3; round++) {
        const root = {
          ETCDCTL_ENDPOINTS: cluster.endpoints,
          ETCDCTL_API: '3',
          ETCDCTL_USER: 'root:root-secret',
        };
        await run([programs.etcdctl, 'role', 'add', `role-${round}`], root);
        await write(api, put(`/cron/jobs/default/${round}`, '{}'));
        await view.until(() => view.keys.has(`/cron/jobs/default/${round}`));
        await write(worker, put('/cron/workers/w', '{}', await worker.grant(60_000)));
        const later = viewOf(worker, '/cron/jobs/');
        await later.until(() => later.keys.has(`/cron/jobs/default/${round}`));
        await later.stop();
      }
      await view.stop();
      await Promise.all([api.close(), worker.close()]);
    });
  });

  describe('with certificates', () => {
    it('are whom their certificates name, and nobody comes in without', async () => {
      const pki = join(folder, 'pki');
      await run(['sh', join(projectFolder, 'infra/etcd/certificates.sh'), pki, '127.0.0.1']);
      const pem = (name: string) => join(pki, `${name}.pem`);
      const key = (name: string) => join(pki, `${name}.key`);
      const tls = { ca: pem('ca'), cert: pem('server'), key: key('server'), clientCerts: true };
      const cluster = await clusterForFile({ programs, members: 3, tls });
      const as = (name: string) => ({
        ETCDCTL_ENDPOINTS: cluster.endpoints.replaceAll('127', 'https://127'),
        ETCDCTL_CACERT: pem('ca'),
        ETCDCTL_CERT: pem(name),
        ETCDCTL_KEY: key(name),
      });
      await script(cluster, ['roles.sh'], as('root'));
      await script(cluster, ['roles.sh'], as('root'));
      const url = (name: string) =>
        `etcds://${cluster.endpoints}?ca=${pem('ca')}&cert=${pem(name)}&key=${key(name)}`;
      const [api, worker] = await Promise.all([open(url('cronfleet-api')), open(url('cronfleet-worker'))]);
      await checkRights(api, worker, programs.version);
      await checkSettles(api, worker);
      await Promise.all([api.close(), worker.close()]);

      const other = join(folder, 'other');
      await run(['sh', join(projectFolder, 'infra/etcd/certificates.sh'), other, '127.0.0.1']);
      const refused: [url: string, said: RegExp][] = [
        [
          `etcds://${cluster.endpoints}?ca=${pem('ca')}`,
          /does not accept our certificate; expected cert= and key=/,
        ],
        [`etcds://${cluster.endpoints}?ca=${other}/ca.pem`, /cannot be trusted; expected ca=/],
        [
          `etcds://${cluster.endpoints}?ca=${pem('ca')}&cert=${other}/root.pem&key=${other}/root.key`,
          /does not accept our certificate/,
        ],
      ];
      for (const [url, said] of refused)
        await assert.rejects(open(url), (error: Error & { code?: string }) => {
          assert.equal(error.code, 'store_unreachable');
          assert.match(error.message, said);
          for (const { endpoint } of cluster.members) assert.ok(error.message.includes(endpoint));
          return true;
        });
      const plain = await open(`etcd://${cluster.endpoints}`);
      await assert.rejects(write(plain, save), {
        code: 'unavailable',
        message: /expected etcds:\/\/ if it wants TLS/,
      });
      await plain.close();
    });
    it('meet a port without TLS', async () => {
      const cluster = await clusterForFile({ programs });
      await assert.rejects(open(`etcds://${cluster.endpoints}`), {
        code: 'store_unreachable',
        message: /expected etcd:\/\//,
      });
    });
  });
});
