import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { buildLambda } from '#infra/scripts/build-lambda.ts';
import { readPackage } from '#infra/scripts/sources/project-files.ts';
import { effort } from '#test/effort.ts';
import { type RunningFunction, startFunction } from './function.ts';
import { awsClient } from './runtime-client.ts';

const client = await awsClient();

/**
 * What may be shipped, and what processor time a cold start may take beyond that of a handler that does nothing: 50 ms it takes. By the wall
 * clock a loaded host would be measured.
 */
const budgets = { unzipped: 3_000_000, zipped: 1_000_000, coldMs: 120 };

describe('the functions, as they ship', () => {
  const temp = mkdtempSync(join(tmpdir(), 'lambda-'));
  const folder = join(temp, 'functions');
  const maps = join(temp, 'maps');
  before(() => buildLambda(folder, maps));
  after(() => rmSync(temp, { recursive: true }));

  const read = (name: string) => readFileSync(join(folder, name), 'utf8');

  it('are a small set of files, without source maps and within their budget', () => {
    const files = readdirSync(folder);
    for (const name of files) assert.match(name, /^(lambda|watchdog|part-\w+)\.mjs$/);
    assert.ok(readdirSync(maps).includes('lambda.mjs.map'));
    const unzipped = files.reduce((sum, name) => sum + read(name).length, 0);
    // A zip file is its files deflated, and some hundred bytes of names for each.
    const zipped = files.reduce((sum, name) => sum + deflateRawSync(read(name)).length + 200, 0);
    assert.ok(unzipped <= budgets.unzipped, `${unzipped} bytes; expected at most ${budgets.unzipped}`);
    assert.ok(zipped <= budgets.zipped, `${zipped} bytes zipped; expected at most ${budgets.zipped}`);
  });

  it('load a driver, and the client of Parameter Store, only when they are first needed', () => {
    const marks = {
      etcd: /etcdserverpb/,
      mongodb: /MongoServerSelectionError/,
      ssm: /AmazonSSM/,
      sqlite: /node:sqlite/,
      jose: /ERR_JWS_SIGNATURE_VERIFICATION_FAILED/,
    };
    const all = readdirSync(folder).map(read).join('');
    for (const entry of ['lambda.mjs', 'watchdog.mjs']) {
      const loaded = [...closure(entry)].map(read).join('');
      for (const [name, mark] of Object.entries(marks)) {
        assert.ok(mark.test(all), `${name} is not in there at all`);
        assert.ok(!mark.test(loaded), `${entry} loads ${name} at once`);
      }
    }
  });

  /** A file with all that it imports statically. */
  function closure(name: string, seen = new Set<string>()): Set<string> {
    if (seen.has(name)) return seen;
    seen.add(name);
    for (const [, part = ''] of read(name).matchAll(/(?:from|import)"\.\/(part-\w+\.mjs)"/g))
      closure(part, seen);
    return seen;
  }

  it('answer alone in an empty folder, and name what is missing where the settings can not be read', async () => {
    const api = await startFunction({
      folder,
      handler: 'lambda.handler',
      env: {
        CRONFLEET_SETTINGS: '/cronfleet/test',
        AWS_ENDPOINT_URL_SSM: 'http://127.0.0.1:9',
        AWS_MAX_ATTEMPTS: '1',
      },
    });
    try {
      const document = (await (await api.request(new Request('https://x/openapi.json'))).json()) as {
        openapi: string;
        info: { version: string };
      };
      assert.deepEqual([document.openapi, document.info.version], ['3.1.0', readPackage().version]);
      assert.equal((await api.request(new Request('https://x/docs'))).status, 200);
      const authorization = `Bearer cf_aaaaaaaaaaaa_${'s'.repeat(43)}`;
      const asked = await api.request(new Request('https://x/api/v1/me', { headers: { authorization } }));
      const problem = (await asked.json()) as { code: string; detail: string };
      assert.deepEqual([asked.status, problem.code], [503, 'settings_unreadable'], api.log());
      assert.match(problem.detail, /\/cronfleet\/test can not be read: .*a way to it, out of a VPC/);
      assert.equal((await api.request(new Request('https://x/api/v1/health'))).status, 503);
    } finally {
      await api.stop();
    }
  });

  if ('program' in client)
    it("answer under AWS's own client of the Runtime API", async () => {
      const api = await startFunction({ folder, handler: 'lambda.handler', client: client.program });
      try {
        const docs = await api.request(new Request('https://x/docs'));
        assert.equal(docs.status, 200);
        assert.match(await docs.text(), /cronfleet API/);
        assert.equal((await api.request(new Request('https://x/api/v1/me'))).status, 401);
        api.freeze();
        api.thaw();
        assert.equal((await api.request(new Request('https://x/openapi.json'))).status, 200);
      } finally {
        await api.stop();
      }
    });

  const noProc = process.platform === 'linux' ? false : 'processor time is read from /proc';
  it('start cold within their budget, beyond a handler that does nothing', { skip: noProc }, async (t) => {
    const bare = join(temp, 'bare');
    mkdirSync(bare);
    writeFileSync(
      join(bare, 'bare.mjs'),
      "export const handler = async () => ({ statusCode: 200, body: '' });\n",
    );
    // In turns, so that what else the machine does meets both; the least of each, which is what the code itself takes.
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let turn = 0; turn < effort(6, 12); turn += 1) {
      theirs.push(await coldMs({ folder: bare, handler: 'bare.handler' }));
      ours.push(await coldMs({ folder, handler: 'lambda.handler' }));
    }
    const [cold, nothing] = [Math.min(...ours), Math.min(...theirs)];
    t.diagnostic(`cold start: ${cold} ms of processor time, of a bare handler ${nothing} ms`);
    const beyond = cold - nothing;
    assert.ok(
      beyond <= budgets.coldMs,
      `${beyond} ms beyond a bare handler; expected at most ${budgets.coldMs}`,
    );
  });
});

/** The processor time of a fresh process until it has answered a request that needs no store. */
async function coldMs(options: { folder: string; handler: string }): Promise<number> {
  let started: RunningFunction | null = null;
  try {
    started = await startFunction(options);
    assert.equal((await started.request(new Request('https://x/docs'))).status, 200);
    return started.processorMs();
  } finally {
    await started?.stop();
  }
}
