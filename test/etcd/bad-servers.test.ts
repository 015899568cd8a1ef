import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { within } from '#test/until.ts';
import { Daemons } from './daemons.ts';
import { fakeEtcd } from './fake-etcd.ts';
import { run, script } from './scripts.ts';
import { clusterForFile, etcds } from './servers.ts';

const [programs] = await etcds();
if (!programs) throw new Error('no etcd');
const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
const skip = process.platform === 'linux' ? false : 'agents run on Linux';

describe('Agents, servers and command lines on a bad etcd', { skip }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-bad-etcd-'));
  const history = ['--history', `sqlite:${join(dir, 'history.sqlite')}`];
  const left = new Set<ChildProcess>();
  const closes: (() => void)[] = [];
  after(async () => {
    await Promise.all([...left].map(end));
    for (const close of closes) close();
    rmSync(dir, { recursive: true, force: true });
  });
  /** Endpoints of clusters: with TLS, with TLS by a certificate of another host, by one that ran out, with passwords. */
  const at = { tls: '', elsewhere: '', ranOut: '', passwords: '' };
  const pem = (of: string, name: string) => join(dir, of, `${name}.pem`);
  const key = (of: string, name: string) => join(dir, of, `${name}.key`);
  const secure = (endpoints: string, given: Record<string, string>) =>
    `etcds://${endpoints}?${new URLSearchParams(given)}`.replaceAll('%2F', '/');

  const certificates = (folder: string, ...servers: string[]) =>
    run(['sh', join(projectFolder, 'infra/etcd/certificates.sh'), join(dir, folder), ...servers]);
  await Promise.all([
    certificates('pki', '127.0.0.1'),
    certificates('other', '127.0.0.1'),
    certificates('elsewhere', 'etcd.example'),
  ]);
  for (const [name, use] of [
    ['old-client', 'clientAuth'],
    ['old-server', 'serverAuth,clientAuth'],
  ])
    await run([
      ...['sh', '-c'],
      `cd ${join(dir, 'pki')} && printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=${use}' >${name}.ext &&
      openssl req -newkey rsa:2048 -nodes -keyout ${name}.key -out ${name}.csr -subj /CN=x &&
      openssl x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days -1 -extfile ${name}.ext -out ${name}.pem`,
    ]);
  writeFileSync(pem('.', 'rubbish'), 'rubbish');
  const start = async (of: string, server: string, clientCerts: boolean) => {
    const tls = { ca: pem(of, 'ca'), cert: pem(of, server), key: key(of, server), clientCerts };
    return (await clusterForFile({ programs, tls })).endpoints;
  };
  const locked = await clusterForFile({ programs });
  [at.tls, at.elsewhere, at.ranOut] = await Promise.all([
    start('pki', 'server', true),
    start('elsewhere', 'server', false),
    start('pki', 'old-server', false),
  ]);
  await script(locked, ['roles.sh'], {
    ...{ CRONFLEET_ROOT_PASSWORD: 'root-secret', CRONFLEET_API_PASSWORD: 'api-secret' },
    CRONFLEET_WORKER_PASSWORD: 'worker-secret',
  });
  at.passwords = locked.endpoints;
  const http = createHttpServer((_, answer) => void answer.end('hello')).listen(0, '127.0.0.1');
  await once(http, 'listening');
  closes.push(() => http.close());
  const old = await fakeEtcd({ version: '3.3.27' });
  const other = await fakeEtcd(null);
  closes.push(old.close, other.close);

  const daemon = (kind: 'agent' | 'server', id: string, kv: string) =>
    kind === 'agent'
      ? ['agent', '--data', join(dir, id), '--id', id, '--kv', kv, ...history]
      : ['server', '--listen', '127.0.0.1:0', '--kv', kv, ...history];

  /** Starts one and waits until it has said all that is wanted, on whatever stream. */
  async function saying(args: string[], ...wanted: RegExp[]): Promise<{ said: string; child: ChildProcess }> {
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    left.add(child);
    let said = '';
    const heard = new Promise<void>((resolve, reject) => {
      const hear = (piece: unknown) => {
        said += piece;
        if (wanted.every((one) => one.test(said))) resolve();
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.on('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}: ${said}`)));
    });
    await within(`${args.join(' ')} to say ${wanted.join(' and ')}`, heard, () => said);
    return { said, child };
  }
  async function end(child: ChildProcess): Promise<void> {
    left.delete(child);
    child.removeAllListeners('exit');
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await within('an end by SIGTERM', gone, () => child.spawnargs);
  }

  const httpAt = () => `127.0.0.1:${(http.address() as AddressInfo).port}`;
  const client = { cert: pem('pki', 'root'), key: key('pki', 'root') };
  const ca = pem('pki', 'ca');
  const refused: readonly [what: string, kv: () => string, said: RegExp][] = [
    [
      'a port of HTTP',
      () => `etcd://${httpAt()}`,
      /does not speak HTTP\/2; expected etcd's port for clients/,
    ],
    ['TLS to a port without', () => `etcds://${httpAt()}`, /does not speak TLS; expected etcd:\/\/ for it/],
    [
      'a service of gRPC that is none',
      () => `etcd://${other.endpoint}`,
      /is another service of gRPC; expected etcd/,
    ],
    [
      'one that is too old',
      () => `etcd://${old.endpoint}`,
      /is version 3\.3\.27; expected 3\.4 or later: upgrade it, one minor version at a time/,
    ],
    [
      'an authority that we do not know',
      () => secure(at.tls, { ca: pem('other', 'ca'), ...client }),
      /shows a certificate that cannot be trusted; expected ca=/,
    ],
    [
      'a certificate of another host',
      () => secure(at.elsewhere, { ca: pem('elsewhere', 'ca') }),
      /cannot be trusted; expected ca= .* for this very host \(.*127\.0\.0\.1 is not in the cert's list/,
    ],
    [
      'a certificate that ran out',
      () => secure(at.ranOut, { ca }),
      /shows a certificate that has run out; expected one that holds/,
    ],
    [
      'no certificate of ours',
      () => secure(at.tls, { ca }),
      /does not accept our certificate; expected cert= and key=/,
    ],
    [
      'one of ours that ran out',
      () => secure(at.tls, { ca, cert: pem('pki', 'old-client'), key: key('pki', 'old-client') }),
      /the certificate of cert= ran out at 20\S+Z: have its authority make another/,
    ],
    [
      "another certificate's key",
      () => secure(at.tls, { ca, cert: client.cert, key: key('pki', 'cronfleet-api') }),
      /kv: key \(\S+cronfleet-api\.key\) is not the key of cert/,
    ],
    [
      'files that are none',
      () => secure(at.tls, { ca: pem('.', 'rubbish'), cert: pem('.', 'rubbish'), key: pem('.', 'rubbish') }),
      /kv: ca \(\S+rubbish\.pem\) holds no certificate in PEM[\s\S]*kv: cert \(.*[\s\S]*kv: key \(.* holds no private key/,
    ],
    [
      'a wrong password',
      () => `etcd://cronfleet-worker:guessed@${at.passwords}`,
      /does not know user "cronfleet-worker" with this password; expected a user made by infra\/etcd/,
    ],
  ];
  for (const [n, [what, kv, wanted]] of refused.entries())
    it(`are refused by ${what}, all with the same words`, async () => {
      const fleet = new Daemons(dir, '');
      const all = await Promise.all([
        fleet.cli(...daemon('agent', `w${n}`, kv())),
        n % 3 === 0
          ? fleet.cli(...daemon('server', '', kv()))
          : fleet.cli('token', 'create', 'x', '--role', 'admin', '--direct', '--kv', kv()),
      ]);
      for (const { code, err } of all) {
        assert.equal(code, 1, err);
        assert.match(err, wanted);
        assert.doesNotMatch(err, /\n {4}at |guessed/);
      }
    });

  it('wait for one that is not there, and say where it should be', async () => {
    const wanted =
      /"code":"etcd_away","message":"etcd at 127\.0\.0\.1:1 refuses connections; expected a running etcd/;
    for (const { child } of await Promise.all([
      saying(daemon('agent', 'waits', 'etcd://127.0.0.1:1'), wanted),
      saying(daemon('server', '', 'etcd://127.0.0.1:1'), wanted, /cronfleet server: http/),
    ]))
      await end(child);
  });

  it('name the rights that they lack, and the role that gives them', async () => {
    const as = (user: string) => `etcd://${user}@${at.passwords}`;
    const fleet = new Daemons(dir, '');
    const [agent, nobody, token] = await Promise.all([
      fleet.cli(...daemon('agent', 'api', as('cronfleet-api:api-secret'))),
      fleet.cli(...daemon('agent', 'nobody', `etcd://${at.passwords}`)),
      fleet.cli(
        ...['token', 'create', 'x', '--role', 'admin', '--direct'],
        ...['--kv', as('cronfleet-worker:worker-secret')],
      ),
    ]);
    assert.match(
      agent.err,
      /cronfleet: kv: .* does not let this credential .*, to write \/cron\/workers\/api/,
    );
    assert.match(nobody.err, /cronfleet: kv: .* asks who we are: .*; expected a user and a password/);
    assert.match(token.err, /cronfleet token: .* expected the rights that infra\/etcd\/roles\.sh gives/);
    for (const { code, err } of [agent, nobody, token]) {
      assert.equal(code, 1, err);
      assert.doesNotMatch(err, /\n {4}at /);
    }
    const { child, said } = await saying(
      daemon('server', '', as('cronfleet-worker:worker-secret')),
      /"code":"etcd_rights","message":"etcd does not let user \\"cronfleet-worker\\" write \/cron\/jobs\/.*cronfleet-api; where it does, run infra/,
      /cronfleet server: http/,
    );
    const [url = ''] = /http:\S+/.exec(said) ?? [];
    const answer = await fetch(`${url}/api/v1/jobs`, {
      headers: { authorization: `Bearer cf_${'a'.repeat(16)}_${'b'.repeat(43)}` },
    });
    const { code, detail } = (await answer.json()) as { code: string; detail: string };
    assert.deepEqual([answer.status, code], [503, 'store_unavailable']);
    assert.match(detail, /does not let this server do that: its credential lacks a right/);
    await end(child);
  });
});
