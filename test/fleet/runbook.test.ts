import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePorts } from '#infra/free-ports.ts';
import { ownNode } from '#infra/scripts/release.ts';
import { Fleet } from '#test/deploy/fleet.ts';
import { release } from '#test/deploy/releases.ts';
import { run } from '#test/etcd/scripts.ts';
import { etcds } from '#test/etcd/servers.ts';
import { mongoForTests } from '#test/mongo/server.ts';
import { until } from '#test/until.ts';
import { Estate, type Host, type Said } from './estate.ts';
import { type Block, readRunbook } from './runbook.ts';

const [programs] = await etcds();
if (!programs) throw new Error('no etcd');
const mongo = await mongoForTests();
const folder = mkdtempSync(join(tmpdir(), 'runbook-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const blocks = readRunbook();
/** The id of a run that a backfill is the cause of, for grep as for us. */
const filledId = '~filled~[^~.]*[.][0-9]*T';
/** Of so many runs the last waits for the test. */
const filledBefore = 3;
const names = blocks.find(({ where }) => where === 'names')?.text ?? '';

describe('the runbook', () => {
  const estate = new Estate(folder, programs);
  const stamps = join(folder, 'stamps');
  const executed = new Set<Block>(blocks.filter(({ where }) => where === 'names'));
  /** Of what the webhook's receiver was told. */
  const signatures: string[] = [];
  const receiver = createServer((request, response) => {
    signatures.push(String(request.headers['x-cronfleet-signature']));
    request.resume().on('end', () => response.end());
  });
  let desk: Host;
  let fleet: Fleet;
  const token = () => readFileSync(join(desk.root, 'home/.cronfleet-token'), 'utf8').trim();
  const cred = (host: Host, name: string) => join(host.root, 'etc/cronfleet/credentials', name);
  const of = (kind: Host['kind']) => [...estate.hosts.values()].filter((host) => host.kind === kind);
  /** Members that are in the cluster: etcd4 comes later. */
  const hostsAt = (where: string): Host[] => {
    if (where === 'desk') return [desk];
    if (/\d$/.test(where)) return [estate.host(where)];
    const all = of(where as Host['kind']);
    return where === 'etcd'
      ? all.filter(({ root }) => existsSync(join(root, 'etc/etcd/etcd.conf.yaml')))
      : all;
  };

  /** Executes a block wherever it is to be run; files that it installs are brought from the desk. */
  async function play(block: Block): Promise<Said> {
    executed.add(block);
    let last: Said = { code: null, text: '' };
    for (const host of hostsAt(block.where)) {
      for (const [, one, other] of block.text.matchAll(/install -m 0600 (\S+)|\$\(cat ([a-z-]+)\)/g)) {
        const file = one ?? other ?? '';
        if (host === desk) continue;
        const at = [desk.work, join(desk.root, 'etc/etcd')].find((path) => existsSync(join(path, file)));
        assert.ok(at, `runbook.md:${block.line}: nobody has made ${file}`);
        cpSync(join(at, file), join(host.work, file));
      }
      last = await estate.run(host, host === desk ? `${names}\n${block.text}` : block.text);
      assert.equal(last.code, 0, `runbook.md:${block.line} on ${host.name}: ${last.text}\n${block.text}`);
    }
    return last;
  }
  const sectionOf = (section: string) => {
    const found = blocks.filter((block) => block.section === section);
    assert.ok(found.length > 0, `${section} has no commands`);
    return found;
  };
  /** Executes a section; `between` is called after each block. */
  async function playSection(
    section: string,
    between: (block: Block, said: Said) => Promise<void> = async () => {},
  ): Promise<void> {
    for (const block of sectionOf(section)) await between(block, await play(block));
  }

  const stamped = () => (existsSync(stamps) ? readFileSync(stamps, 'utf8').trim().split('\n') : []);
  const ticks = () => stamped().filter((run) => run.includes('~tick~')).length;
  /** Something starts by its schedule. */
  async function goesOn(): Promise<void> {
    const before = ticks();
    await until('two more ticks', ticks, (now) => now > before + 1);
  }
  async function versions(): Promise<string[]> {
    const { items } = await fleet.ask('GET', '/workers');
    const { version } = await fleet.ask('GET', '/health');
    return [version, ...items.map((one: { version: string }) => one.version)];
  }
  const etcdctl = (...args: string[]) =>
    estate.run(desk, `${names}\netcdctl ${args.map((arg) => `'${arg}'`).join(' ')}`);

  before(async () => {
    receiver.listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    await estate.open();
    for (const n of [1, 2, 3, 4]) await estate.add('etcd', `etcd${n}`);
    desk = await estate.add('desk', 'desk');
    for (const name of ['server1', 'server2']) await estate.add('server', name);
    for (const name of ['agent1', 'agent2']) await estate.add('agent', name);
    const ports = await freePorts(2);
    estate.name('https://cronfleet.example.org', `http://127.0.0.1:${ports[0]}`);
    estate.name('http://10.0.0.11:8787', `http://127.0.0.1:${ports[0]}`);
    const hookPort = (receiver.address() as AddressInfo).port;
    estate.name('https://hooks.example.org/cronfleet', `http://127.0.0.1:${hookPort}/`);

    // etcd as infra/etcd recommends it: by certificates, and the API by a password too.
    for (const host of estate.hosts.values()) estate.bringScripts(host);
    const pki = join(desk.root, 'etc/etcd');
    await run(['sh', join(desk.root, 'opt/cronfleet-etcd/certificates.sh'), pki, '127.0.0.1']);
    for (const host of of('etcd')) {
      for (const name of ['ca.pem', 'root.pem', 'root.key', 'server.pem', 'server.key'])
        estate.bring(join(pki, name), host, `etc/etcd/${name}`);
      if (host.name === 'etcd4') continue;
      const n = host.name.at(-1);
      const conf = readFileSync(join(host.root, 'opt/cronfleet-etcd/etcd.conf.yaml'), 'utf8');
      const [client, peer] = ['2379', '2380'].map((port) => estate.asOn(host, `https://10.0.0.${n}:${port}`));
      writeFileSync(
        join(host.root, 'etc/etcd/etcd.conf.yaml'),
        conf
          .replace(/^name: .*/m, `name: ${host.name}`)
          .replaceAll(/(-client-urls: ).*/g, `$1${client}`)
          .replaceAll(/(-peer-urls: ).*/g, `$1${peer}`),
      );
      await estate.start(host, true);
    }
    await Promise.all(of('etcd').map((host) => (host.process === null ? null : estate.healthy(host))));
    const password = 'the-first-password';
    const asRoot = `${names}\nCRONFLEET_API_PASSWORD=${password} sh /opt/cronfleet-etcd/roles.sh`;
    const history = mongo.database().url;
    const home = (file: string, text: string) => writeFileSync(join(desk.root, 'home', file), `${text}\n`);
    home('.cronfleet-history', history);
    home('.cronfleet-token', 'none-yet');

    const made = Object.fromEntries(
      await Promise.all(
        (['cronfleet-agent', 'cronfleet-server'] as const).flatMap((name) =>
          ['1.0.0', '2.0.0'].map(
            async (version) =>
              [
                `${name}-${version}`,
                await release(folder, name, version, join(ownNode(), 'bin/node')),
              ] as const,
          ),
        ),
      ),
    );
    assert.equal((await estate.run(desk, asRoot)).code, 0);
    for (const host of [...of('server'), ...of('agent')]) {
      const isServer = host.kind === 'server';
      await run([join(made[`cronfleet-${host.kind}-1.0.0`] ?? '', 'install.sh'), '--root', host.root]);
      const user = isServer ? 'cronfleet-api' : 'cronfleet-worker';
      cpSync(join(pki, 'ca.pem'), cred(host, 'etcd-ca.pem'));
      for (const end of ['pem', 'key']) cpSync(join(pki, `${user}.${end}`), cred(host, `etcd.${end}`));
      const members = estate.asOn(host, '10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379');
      const tls = `ca=${cred(host, 'etcd-ca.pem')}&cert=${cred(host, 'etcd.pem')}&key=${cred(host, 'etcd.key')}`;
      const signIn = isServer ? `&user=${user}&password-file=${cred(host, 'etcd-password')}` : '';
      if (isServer) writeFileSync(cred(host, 'etcd-password'), `${password}\n`);
      writeFileSync(cred(host, 'kv'), `etcds://${members}?${tls}${signIn}\n`);
      writeFileSync(cred(host, 'history'), `${history}\n`);
      const settings = isServer
        ? `listen: 127.0.0.1:${ports[Number(host.name.at(-1)) - 1]}\n`
        : `id: ${host.name}\n`;
      const file = join(host.root, `etc/cronfleet/${host.kind}.yaml`);
      writeFileSync(file, `${estate.asOn(host, readFileSync(file, 'utf8'))}\n${settings}`);
      await estate.start(host);
      // What an administrator has brought for the upgrade.
      const next = `cronfleet-${host.kind}-2.0.0`;
      await run(['tar', '-czf', join(host.work, `${next}.tar.gz`), '-C', folder, next]);
    }
    const asked = await estate.run(
      desk,
      `${names}\ncronfleet token create first --role admin --direct >~/.cronfleet-token`,
    );
    assert.equal(asked.code, 0, asked.text);
    fleet = new Fleet(estate.asOn(desk, 'https://cronfleet.example.org'), token());
    const stamp = `echo "$CRON_RUN_ID" >>${stamps}`;
    const job = (name: string, more: object) =>
      fleet.ask('PUT', `/jobs/default/${name}`, { command: stamp, ...more });
    await job('tick', { schedule: '* * * * * *' });
    await job('backup', { schedule: '0 3 * * *' });
    await job('filled', {
      schedule: '* * * * *',
      enabled: true,
      catchUp: 'none',
      command: `${stamp}; until [ -e ${folder}/fill ] || [ $(grep -c '${filledId}' ${stamps}) -lt ${filledBefore} ]; do sleep 0.1; done`,
    });
    // Longer than a backup takes on a busy machine: it waits while one is made.
    const retry = { attempts: 1, backoff: '15s', factor: 1 };
    await job('flaky', { schedule: null, command: `${stamp}; exit 3`, retry });
    await job('long', {
      schedule: null,
      command: `${stamp}; echo begun; until [ -e ${folder}/go ]; do sleep 0.1; done; echo ended; exit 7`,
      successCodes: [7],
    });
    await fleet.ask('POST', '/jobs/default/backup/run', {});
  });
  after(async () => {
    for (const gate of ['go', 'fill']) writeFileSync(join(folder, gate), '');
    await estate.close();
    receiver.close();
  });

  let long = '';
  it('looks whether all is well', async () => {
    const { run: id } = await fleet.ask('POST', '/jobs/default/long/run', {});
    long = id;
    await goesOn();
    await playSection('Is all well?');
  });

  it('upgrades and goes back, with a job that runs through it', async () => {
    const seen: string[][] = [];
    await playSection('Upgrade and rollback', async ({ where, text }) => {
      if (where === 'agent' || (where === 'server' && text.includes('--rollback')))
        seen.push(await versions());
    });
    assert.deepEqual(seen, [
      ['2.0.0', '2.0.0', '2.0.0'],
      ['2.0.0', '1.0.0', '1.0.0'],
      ['1.0.0', '1.0.0', '1.0.0'],
    ]);
    assert.equal((await fleet.ask('GET', `/runs/${long}`)).state, 'running');
    await goesOn();
  });

  it('restores etcd without starting anything twice', async () => {
    // At the backup: a next attempt waits, a backfill is half done, a run lives.
    const at = Math.floor(Date.now() / 60_000) * 60_000;
    const [from, to] = [at - 20 * 60_000, at - 60_000].map((ms) => new Date(ms).toISOString());
    await fleet.ask('POST', '/jobs/default/filled/backfill', { from, to });
    const filled = () => stamped().filter((run) => new RegExp(filledId).test(run));
    await until('a backfill that is half done', filled, ({ length }) => length === filledBefore);
    const { run: flaky } = await fleet.ask('POST', '/jobs/default/flaky/run', {});
    const second = flaky.replace(/1$/, '2');
    const waits = async () =>
      (await etcdctl('get', '--print-value-only', `/cron/running/default/flaky/~/${second}`)).text;
    await until('an attempt that waits', waits, (text) => /"state":"waiting"/.test(text));
    await playSection('Backup');
    const cursor = async () =>
      JSON.parse((await etcdctl('get', '--print-value-only', '/cron/cursors/default/tick/~')).text).instant;
    const saved = await cursor();
    assert.equal(filled().length, filledBefore);
    writeFileSync(join(folder, 'fill'), '');
    await fleet.ask('PUT', '/jobs/default/later', { command: 'true' });
    await until(
      'the rest of the backfill, which the backup does not know',
      filled,
      ({ length }) => length >= 20,
    );
    await until('the second attempt, which it does not know', stamped, (runs) => runs.includes(second));
    const before = await until('a cursor that it does not know', cursor, (now) => now > saved);

    for (const host of of('etcd')) estate.bring(join(desk.root, 'var/backups'), host, 'var/backups');
    let restored = 0;
    let told = '';
    await playSection('Restore', async ({ where, text }, said) => {
      if (where === 'etcd' && text.includes('restore.sh')) restored = await cursor();
      if (text.includes('after-restore')) told = said.text;
      if (where === 'server' && text.includes('start'))
        assert.equal(
          of('agent').every(({ process }) => process === null),
          true,
        );
    });
    assert.ok(restored < before, 'the cursor has gone back, or this would show nothing');
    await goesOn();
    assert.ok((await cursor()) > before);
    const runs = stamped();
    assert.deepEqual(
      runs.filter((run, n) => runs.indexOf(run) !== n),
      [],
      'started twice',
    );
    assert.match(told, /dropped: backfill of default\/filled/);
    assert.ok(told.includes(`let go of: ${second}`) && told.includes(`left to its worker: ${long}`), told);
    // The one that nobody decided, while nobody was there to do so.
    const { items } = await fleet.ask('GET', '/runs?job=tick&state=missed');
    assert.ok(items.some(({ reason }: { reason: string }) => /restored from a backup/.test(reason)));
    assert.equal((await fleet.ask('GET', `/runs/${second}`)).state, 'failed');
    assert.equal((await fleet.ask('GET', `/runs/${long}`)).state, 'running');
    assert.equal(
      (await fleet.ask('GET', '/jobs')).items.some(
        ({ job }: { job: { name: string } }) => job.name === 'later',
      ),
      false,
    );
  });

  it('comes back from a lost quorum', async () => {
    for (const name of ['etcd2', 'etcd3']) await estate.stop(estate.host(name), 'SIGKILL');
    for (const name of ['etcd2', 'etcd3'])
      rmSync(join(estate.host(name).root, 'var/lib/etcd/member/wal'), { recursive: true });
    await playSection('Lost quorum');
    await goesOn();
    assert.equal((await fleet.ask('GET', `/runs/${long}`)).state, 'running');
  });

  it('moves a member of etcd, with the fleet at work', async () => {
    await playSection('Moving etcd, or replacing a member', async ({ where, text }) => {
      if (where === 'etcd3') {
        estate.name('10.0.0.3:2379', estate.asOn(desk, '10.0.0.4:2379'));
        rmSync(join(estate.host('etcd3').root, 'etc/etcd/etcd.conf.yaml'));
      } else if (text.includes('member add')) await goesOn();
    });
    assert.equal((await etcdctl('endpoint', 'health')).code, 0);
    const { text } = await etcdctl('member', 'list');
    assert.deepEqual([...text.matchAll(/, (etcd\d), /g)].map(([, name]) => name).sort(), [
      'etcd1',
      'etcd2',
      'etcd4',
    ]);
    await goesOn();
  });

  it('changes each credential', async () => {
    const old = fleet.token;
    await playSection('API tokens');
    assert.equal(
      (await fetch(`${fleet.url}/api/v1/me`, { headers: { authorization: `Bearer ${old}` } })).status,
      401,
    );
    fleet = new Fleet(fleet.url, token());
    assert.equal((await fleet.ask('GET', '/me')).name, 'rescue');

    await playSection("etcd's passwords");
    const stale = estate.asOn(
      desk,
      'etcdctl --user cronfleet-api:the-first-password get /cron/jobs/ --prefix --keys-only',
    );
    assert.match((await estate.run(desk, `${names}\n${stale}`)).text, /authentication failed/);

    const serial = async (file: string) =>
      (await run(['openssl', 'x509', '-noout', '-serial', '-in', file])).trim();
    const worn = await serial(cred(estate.host('agent1'), 'etcd.pem'));
    await playSection("etcd's certificates");
    assert.notEqual(await serial(cred(estate.host('agent1'), 'etcd.pem')), worn);
    const shown = estate.asOn(
      desk,
      'echo | openssl s_client -connect 10.0.0.1:2379 2>/dev/null | openssl x509 -noout -serial',
    );
    const renewed = await serial(join(desk.root, 'etc/etcd/server.pem'));
    // Whoever has just been started again may not take everybody in at once.
    await until(
      `etcd1 to show ${renewed}`,
      async () => (await estate.run(desk, shown)).text.trim(),
      (text) => text === renewed,
    );

    const history = readFileSync(join(desk.root, 'home/.cronfleet-history'), 'utf8').trim();
    writeFileSync(join(desk.work, 'history'), `${history}?appName=second\n`);
    await playSection("MongoDB's password");
    assert.match(readFileSync(cred(estate.host('agent2'), 'history'), 'utf8'), /appName=second/);

    await playSection("A webhook's secret");
    assert.match(signatures.at(-1) ?? '', /^sha256=[0-9a-f]{64}$/);
    await goesOn();
  });

  it('tells what happened, and where metrics are', async () => {
    await playSection('recovered');
    let told = 0;
    await playSection('Metrics', async (block, { text }) => {
      if (!block.text.includes('/metrics')) return;
      // nginx keeps that path to itself.
      assert.doesNotMatch(block.text, /CRONFLEET_URL/);
      assert.match(text, /^cronfleet_(may_claim 1|watchdog_jobs \d)/m);
      told++;
    });
    assert.equal(told, 2);
  });

  it('lets a run live through all of it, with its output and its exit code', async () => {
    writeFileSync(join(folder, 'go'), '');
    const { record, text } = await fleet.ended(long);
    assert.deepEqual([record.state, record.exitCode, text], ['succeeded', 7, 'begun\nended\n']);
    const runs = stamped();
    assert.equal(new Set(runs).size, runs.length);
  });

  it('has no command that was not executed', () => {
    const left = blocks.filter((block) => !executed.has(block));
    assert.deepEqual(
      left.map(({ line, section }) => `runbook.md:${line}: ${section}`),
      [],
    );
  });
});
