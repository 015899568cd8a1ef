import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startProvider } from '#test/real-provider.ts';
import { within } from '#test/until.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;

/** A command line that has ended. */
function cli(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number | null; text: string }> {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, text })));
}

describe('a provider that is not as the settings say', () => {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-oidc-'));
  after(() => rmSync(dir, { recursive: true }));
  /** Calls itself something else. */
  const stranger = createServer((_, response) => response.end(JSON.stringify(metadata)));
  const metadata = {
    issuer: 'https://id.example.com',
    ...{ authorization_endpoint: 'https://x/a', token_endpoint: 'https://x/t', jwks_uri: 'https://x/k' },
  };
  const settings = {
    CRONFLEET_DATA: dir,
    CRONFLEET_OIDC_CLIENT: 'cronfleet',
    CRONFLEET_OIDC_ROLES: 'ops=admin',
  };
  let env: Record<string, string>;
  let up: ChildProcess;
  let log = '';
  before(async () => {
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    const issuer = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`;
    env = { ...settings, CRONFLEET_OIDC_ISSUER: issuer };
    up = spawn(process.execPath, [main, 'up', '--listen', '127.0.0.1:0'], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    up.stderr?.setEncoding('utf8');
    const told = new Promise<void>((resolve) =>
      up.stderr?.on('data', (text: string) => {
        log += text;
        if (log.includes('provider.finding')) resolve();
      }),
    );
    const linked = new Promise((resolve) => up.stdout?.once('data', resolve));
    const ended = new Promise((_, reject) =>
      up.once('exit', (code) => reject(new Error(`up ended with ${code}: ${log}`))),
    );
    const ready = Promise.race([Promise.all([linked, told]), ended]);
    await within('up to say where it is and what it found', ready, () => log);
  });
  after(async () => {
    const gone = new Promise((resolve) => up.once('exit', resolve));
    up.kill('SIGINT');
    await gone;
    stranger.closeAllConnections();
    await new Promise((resolve) => stranger.close(resolve));
  });

  it('keeps nothing from starting, and is named in the log', async () => {
    assert.match(log, /calls itself .*https:\/\/id\.example\.com.*set oidc-issuer to exactly that/);
    assert.equal((await cli(['ls'], env)).code, 0, 'tokens work');
  });

  it('is found by doctor, as the server tells of it and as it looks from here', async () => {
    const bad = (text: string) =>
      JSON.parse(text)
        .filter(({ level, what }: { level: string; what: string }) => level === 'bad' && /sign-in/.test(what))
        .map(({ what }: { what: string }) => what);
    // Without settings of a server here: by the server alone.
    const { code, text } = await cli(['doctor', '--json'], { CRONFLEET_DATA: dir });
    assert.equal(code, 1);
    assert.equal(bad(text).length, 1, text);
    assert.match(bad(text)[0], /calls itself/);
    assert.equal(bad((await cli(['doctor', '--json'], env)).text).length, 2);
  });

  it('is said before anything starts where it can not be right', async () => {
    const { code, text } = await cli(['up', '--oidc-issuer', 'id.example.com', '--oidc-roles', 'ops=chief'], {
      CRONFLEET_DATA: dir,
    });
    assert.equal(code, 1);
    assert.match(text, /--oidc-issuer: "id\.example\.com" is not valid; expected https/);
    assert.match(text, /--oidc-roles: "ops=chief" is not valid; expected GROUP=ROLE/);
    const { text: lacking } = await cli(['up'], settings);
    assert.match(lacking, /--oidc-issuer is missing beside oidc-client, oidc-roles/);
  });

  it('is well where it is', async () => {
    const provider = await startProvider({ redirectUri: 'https://cron.example.com/sign-in', groups: {} });
    const asked = cli(['doctor', '--json'], { ...env, CRONFLEET_OIDC_ISSUER: provider.issuer });
    const { text } = await asked.finally(() => provider.stop());
    assert.match(text, /people can sign in by http:\/\/127\.0\.0\.1:\d+, as far as can be seen from here/);
  });
});
