import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { certificateFinding } from '#agent/cli/doctor/certificate-finding.ts';
import { ofCertificates } from '#core/stores/kv/etcd/certificates.ts';
import { type Cluster, startCluster } from '#infra/etcd/cluster.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { Daemons } from './daemons.ts';
import { run } from './scripts.ts';
import { etcds } from './servers.ts';

const folder = mkdtempSync(join(tmpdir(), 'cronfleet-certificates-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const pem = (name: string) => join(folder, `${name}.pem`);
const key = (name: string) => join(folder, `${name}.key`);

/** Signs a certificate for so many days from now, which may be below none. */
async function sign(name: string, days: number, extension: string): Promise<void> {
  const [request, file] = [join(folder, `${name}.csr`), join(folder, `${name}.ext`)];
  await run([
    'openssl',
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key(name),
    '-out',
    request,
    '-subj',
    `/CN=${name}`,
  ]);
  writeFileSync(file, `${extension}\n`);
  await run([
    ...['openssl', 'x509', '-req', '-in', request, '-CA', pem('ca'), '-CAkey', key('ca'), '-days', `${days}`],
    ...['-out', pem(name), '-extfile', file],
  ]);
}
const forServer = 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth';
const listening = (server: Server) =>
  new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );

const [programs] = await etcds();
if (!programs) throw new Error('no etcd');

describe('a certificate that has run out, or is about to', () => {
  let good: Cluster;
  before(async () => {
    await run(['sh', join(projectFolder, 'infra/etcd/certificates.sh'), folder, '127.0.0.1']);
    await sign('expired', -1, 'extendedKeyUsage=clientAuth');
    await sign('expired-server', -1, forServer);
    await sign('soon-server', 5, forServer);
    const tls = { ca: pem('ca'), clientCerts: true };
    good = await startCluster({ programs, tls: { ...tls, cert: pem('server'), key: key('server') } });
  });

  after(() => good?.stop());

  const urlOf = (cluster: Cluster, client: string) =>
    `etcds://${cluster.endpoints}?ca=${pem('ca')}&cert=${pem(client)}&key=${key(client)}`;
  const fleet = new Daemons(folder, '');
  const start = (what: string, url: string) => {
    const data = what === 'agent' ? ['--data', join(folder, what)] : [];
    return fleet.cli(
      what,
      ...data,
      ...(what === 'server' ? ['--listen', '127.0.0.1:0'] : []),
      '--kv',
      url,
      '--history',
      `sqlite:${folder}/history.sqlite`,
    );
  };

  it('of a client is told at the start of agent and server, and by doctor, with what to do', async () => {
    const url = urlOf(good, 'expired');
    for (const what of ['server', 'agent']) {
      const { code, err } = await start(what, url);
      assert.equal(code, 1, err);
      assert.match(err, /certificate[\s\S]*the certificate of cert= ran out at \d{4}-/);
    }
    const { out } = await fleet.cli('doctor', '--data', join(folder, 'none'), '--kv', url);
    assert.match(out, /BAD {2}the certificate of cert= ran out at \d{4}-/);
  });

  it('of the API is told by doctor', async () => {
    const say = async (name: string, authority?: string) => {
      const server = createServer(
        { cert: readFileSync(pem(name)), key: readFileSync(key(name)) },
        (_, response) => response.writeHead(404).end(),
      );
      const port = await listening(server);
      const url = `https://127.0.0.1:${port}`;
      if (authority !== undefined) {
        // A program of its own, since Node reads this at its start.
        const text = await run(
          [
            process.execPath,
            join(projectFolder, 'worker-agent/cli/main.ts'),
            'doctor',
            '--url',
            url,
            '--token',
            't',
            '--json',
          ],
          { NODE_EXTRA_CA_CERTS: authority },
        ).catch((error: Error) => error.message);
        server.close();
        return text;
      }
      const [finding] = await certificateFinding(url, Date.now());
      server.close();
      return `${finding?.level} ${finding?.what}`;
    };
    assert.match(await say('expired-server'), /^bad the certificate of 127\.0\.0\.1 has expired on \d{4}/);
    assert.match(
      await say('server'),
      /^bad the certificate of 127\.0\.0\.1 \(etcd-member\) is not to be trusted/,
    );
    assert.match(
      await say('server', pem('ca')),
      /"ok",\s+"what": "the certificate of 127\.0\.0\.1 is good for 36\d\d days"/,
    );
    assert.match(
      await say('soon-server', pem('ca')),
      /"note",\s+"what": "the certificate of 127\.0\.0\.1 is good for [45] days only"/,
    );
    assert.deepEqual(await certificateFinding('http://127.0.0.1:1', Date.now()), []);
    assert.deepEqual(await certificateFinding('https://127.0.0.1:1', Date.now()), []);
  });

  it('of an authority that another takes the place of is nothing to be told of', () => {
    const old = readFileSync(pem('expired'));
    const present = readFileSync(pem('ca'));
    const of = (...all: Buffer[]) =>
      ofCertificates(
        { endpoints: [], user: null, tls: { ca: Buffer.concat(all), cert: null, key: null } },
        Date.now(),
      );
    assert.equal(of(old, present).length, 0);
    assert.equal(of(old).length, 1);
  });

  it('is told from one that does not hold yet, which is a matter of clocks', () => {
    const tls = { ca: readFileSync(pem('ca')), cert: readFileSync(pem('cronfleet-api')), key: null };
    const found = (now: number) => ofCertificates({ endpoints: [], user: null, tls }, now);
    const yesterday = found(Date.now() - 86_400_000);
    assert.deepEqual(
      yesterday.map(({ level, message }) => `${level} ${message.replace(/\d{4}-\S+Z/g, 'TIME')}`),
      ['ca', 'cert'].map(
        (name) =>
          `error the certificate of ${name}= holds from TIME on, and by this machine's clock it is TIME: is that clock right?`,
      ),
    );
    assert.deepEqual(found(Date.now()), []);
  });

  it('is not confused with an address that a store does not let in', async () => {
    // As Atlas ends TLS with those: a fatal alert, internal error.
    const atlas = createTcp((socket) =>
      socket.once('data', () => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, 80]))),
    );
    atlas.on('connection', (socket) => socket.on('error', () => {}));
    const port = await listening(atlas);
    const history = `mongodb://127.0.0.1:${port}/x?tls=true`;
    const { out } = await fleet.cli('doctor', '--data', join(folder, 'none'), '--history', history);
    atlas.close();
    assert.match(out, /BAD {2}.*ends TLS at once: at Atlas, add the address of this host to Network Access/);
  });
});
