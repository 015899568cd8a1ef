import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { readParameters } from '#core/stores/parameter-store.ts';
import { readCloudSettings } from '#functions/cloud/settings.ts';
import { siteFrom } from '#functions/site.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { makeApp } from '#test/api/make-app.ts';
import { edgeOf } from './edge.ts';
import { startMoto } from './moto.ts';
import { type Made, runProgram } from './program.ts';

let moto: Awaited<ReturnType<typeof startMoto>>;
const environment = { ...process.env };
before(async () => {
  moto = await startMoto();
  Object.assign(process.env, {
    ...{ AWS_REGION: 'eu-central-1', AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'test' },
    ...{ AWS_ENDPOINT_URL_SSM: moto.url, AWS_MAX_ATTEMPTS: '1' },
  });
});
after(async () => {
  process.env = environment;
  await moto.stop();
});

describe('settings in Parameter Store', () => {
  it('are read by path, page by page, decrypted, and none of another path', async () => {
    const ssm = new SSMClient();
    const put = (Name: string, Value: string, Type: 'String' | 'SecureString') =>
      ssm.send(new PutParameterCommand({ Name, Value, Type }));
    const path = '/cronfleet/test';
    const set: Record<string, string> = { kv: 'etcds://10.0.0.1:2379', history: 'mongodb+srv://u:p@x/cron' };
    for (let i = 0; i < 23; i += 1) set[`other-${String(i).padStart(2, '0')}`] = `value ${i}`;
    for (const [name, value] of Object.entries(set))
      await put(`${path}/${name}`, value, name.startsWith('other') ? 'String' : 'SecureString');
    await put('/cronfleet/test2/kv', 'etcd://elsewhere:1', 'String');
    await put('/cronfleet/kv', 'etcd://elsewhere:2', 'String');
    await put(`${path}/deeper/kv`, 'etcd://elsewhere:3', 'String');
    ssm.destroy();
    const read = await readParameters(path);
    assert.deepEqual(read, set);
    assert.equal(readCloudSettings(path, read).kv, set.kv);
  });

  it('that are not there are named as missing', async () => {
    assert.throws(() => readCloudSettings('/cronfleet/none', {}), /\/cronfleet\/none\/kv is missing/);
    assert.deepEqual(await readParameters('/cronfleet/none'), {});
  });
});

describe('a daemon on a machine of ours', () => {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-ssm-'));
  after(() => rmSync(dir, { recursive: true }));

  it('starts on what Parameter Store says, of the region that is named', async () => {
    const path = '/cronfleet/hosts';
    const ssm = new SSMClient({ region: 'eu-west-1' });
    const set = { history: 'sqlite:from-parameters.sqlite', 'log-level': 'error' };
    for (const [name, Value] of Object.entries(set))
      await ssm.send(new PutParameterCommand({ Name: `${path}/${name}`, Value, Type: 'SecureString' }));
    ssm.destroy();
    const up = (place: string) =>
      spawn(
        process.execPath,
        [
          ...[join(projectFolder, 'worker-agent/cli/main.ts'), 'up', '--ssm', place],
          ...['--data', dir, '--listen', '127.0.0.1:0'],
        ],
        { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] },
      );
    const elsewhere = up(path);
    const [said] = await Promise.all([text(elsewhere.stderr), once(elsewhere, 'exit')]);
    assert.match(said, /nothing below \/cronfleet\/hosts in Parameter Store/);

    const running = up(`eu-west-1:${path}`);
    const ended = once(running, 'exit');
    try {
      const [line] = await once(running.stdout, 'data');
      assert.match(String(line), /cronfleet is up: http/);
      assert.ok(existsSync(join(dir, 'from-parameters.sqlite')));
      assert.ok(!existsSync(join(dir, 'history.sqlite')));
    } finally {
      running.kill('SIGINT');
      await ended;
    }
  });
});

describe('the site, from S3 through the edge', () => {
  it('is what a server of ours gives for the same addresses', async () => {
    const { graph } = await runProgram('dev');
    const files = graph.find(({ name }) => /\.BucketFiles$/.test(name))?.inputs.files ?? [];
    assert.ok(files.length >= 3);
    const bucket = `${moto.url}/site`;
    assert.equal((await fetch(bucket, { method: 'PUT' })).status, 200);
    for (const { key, source, contentType, cacheControl } of files) {
      const headers = { 'content-type': contentType, 'cache-control': cacheControl };
      const put = await fetch(`${bucket}/${key}`, { method: 'PUT', body: readFileSync(source), headers });
      assert.equal(put.status, 200);
    }
    const site = siteFrom(pathToFileURL(join(projectFolder, 'dist/site/')));
    assert.ok(site);
    const server = await makeApp({ site });
    const paths = [
      '/',
      '/index.html',
      '/jobs/default/backup.sh',
      '/workers',
      '/runs/default~a~20261126T063400.000Z~1',
    ];
    for (const path of [...paths, ...files.map(({ key }: { key: string }) => `/${key}`)]) {
      const [ours, theirs] = [
        await server.request('GET', path, { as: null }),
        await fromCloud(graph, bucket, path),
      ];
      for (const name of [
        'cache-control',
        'content-security-policy',
        'x-content-type-options',
        'referrer-policy',
      ])
        assert.equal(theirs.headers[name], ours.headers.get(name), `${name} of ${path}`);
      const type = (text: string | null | undefined) => text?.toLowerCase().replace(/\s/g, '');
      assert.equal(type(theirs.headers['content-type']), type(ours.headers.get('content-type')), path);
      assert.equal(theirs.body, await ours.text(), path);
    }
    await server.close();
  });
});

/** What a browser would get: the edge's way to a file, the file, and what the edge sets on its way out. */
async function fromCloud(graph: readonly Made[], bucket: string, path: string) {
  const taken = await edgeOf(graph).take(path);
  assert.ok(taken.to === 'files', path);
  // Signed by CloudFront, as far as moto looks.
  const authorization = 'AWS4-HMAC-SHA256 Credential=x/20261126/eu-central-1/s3/aws4_request, Signature=x';
  const stored = await fetch(`${bucket}/${taken.key}`, { headers: { authorization } });
  assert.equal(stored.status, 200, path);
  const out = graph.find(({ name }) => name === 'RouterCloudfrontFunctionResponse')?.inputs.code ?? '';
  const run = new Function('event', `${out.replace(/import cf .*\n/, '')}\nreturn handler(event);`);
  const headers = Object.fromEntries([...stored.headers].map(([name, value]) => [name, { value }]));
  const answer = (await run({ response: { headers } })) as { headers: Record<string, { value: string }> };
  return {
    headers: Object.fromEntries(Object.entries(answer.headers).map(([name, { value }]) => [name, value])),
    body: await stored.text(),
  };
}
