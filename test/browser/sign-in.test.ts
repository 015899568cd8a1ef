import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { freePorts } from '#infra/free-ports.ts';
import { type RealProvider, startProvider } from '#test/real-provider.ts';
import { patienceMs } from '#test/until.ts';
import { findChromium } from './chromium.ts';
import { leftOut } from './up.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
const found = findChromium();

describe('signing in by a real provider, in a real browser', leftOut, () => {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-sign-in-'));
  let site: string;
  let provider: RealProvider;
  let server: ChildProcess;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** What the browser would not let happen, and what threw. */
  const complaints: string[] = [];

  before(async () => {
    if ('missing' in found) throw new Error(found.missing);
    const [port] = await freePorts(1);
    site = `http://127.0.0.1:${port}`;
    provider = await startProvider({
      redirectUri: `${site}/sign-in`,
      groups: { alice: ['ops'], bob: ['dev'], carl: ['sales'] },
    });
    server = spawn(
      process.execPath,
      [
        ...[main, 'up', '--data', join(dir, 'data'), '--listen', `127.0.0.1:${port}`, '--log-level', 'error'],
        ...['--oidc-issuer', provider.issuer, '--oidc-client', 'cronfleet'],
        ...['--oidc-roles', 'ops=admin, dev=viewer:web'],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await new Promise<void>((resolve, reject) => {
      server.stdout?.once('data', () => resolve());
      server.once('exit', (code) => reject(new Error(`up ended with ${code}`)));
    });
    browser = await chromium.launch({ executablePath: found.path, args: found.args, timeout: patienceMs });
  });
  after(async () => {
    await browser?.close();
    const gone = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGINT');
    await gone;
    await provider.stop();
    rmSync(dir, { recursive: true });
  });
  // A browser that has never been here.
  beforeEach(async () => {
    Object.assign(provider, { refresh: true, closed: false });
    complaints.length = 0;
    context = await browser.newContext();
    context.setDefaultTimeout(patienceMs);
    page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // What the API refused is the browser's to note, too.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
        complaints.push(message.text());
    });
  });
  afterEach(async () => {
    await context.close();
    assert.deepEqual([complaints, provider.faults], [[], []]);
  });

  const button = () => page.getByRole('button', { name: `Sign in with ${new URL(provider.issuer).host}` });

  async function signIn(name: string, at = '/'): Promise<void> {
    await page.goto(site + at);
    await button().click();
    await page.getByLabel('Name').fill(name);
    await page.getByRole('button', { name: 'Continue' }).click();
  }

  it('takes one there and back, to where one was, and keeps nothing that a script could read', async () => {
    await signIn('alice', '/workers?x=1');
    await page.getByText('oidc:alice (admin)').waitFor();
    assert.equal(page.url(), `${site}/workers?x=1`);
    await page.getByRole('heading', { name: 'Workers' }).waitFor();
    const kept = await page.evaluate('JSON.stringify([localStorage, sessionStorage, document.cookie])');
    assert.deepEqual(JSON.parse(String(kept)), [{ 'cronfleet.provider': 'yes' }, {}, '']);
    const [cookie] = (await context.cookies(`${site}/api/v1/sign-in`)).filter(({ name }) =>
      /cronfleet/.test(name),
    );
    assert.deepEqual(
      [cookie?.httpOnly, cookie?.secure, cookie?.sameSite, cookie?.path, cookie?.expires],
      [true, true, 'Strict', '/api/v1/sign-in', -1],
    );
  });

  it('stays here from an address that looks like another site', async () => {
    await signIn('alice', '//elsewhere.example/workers');
    await page.getByText('oidc:alice (admin)').waitFor();
    assert.equal(page.url(), `${site}/elsewhere.example/workers`);
  });

  it('lasts over a reload and in another tab without asking anybody anything', async () => {
    await signIn('alice');
    await page.getByText('oidc:alice (admin)').waitFor();
    const visited: string[] = [];
    context.on('request', (request) => request.isNavigationRequest() && visited.push(request.url()));
    const other = await context.newPage();
    await Promise.all([page.reload(), other.goto(`${site}/workers`)]);
    await page.getByText('oidc:alice (admin)').waitFor();
    await other.getByText('oidc:alice (admin)').waitFor();
    assert.deepEqual(visited.sort(), [`${site}/`, `${site}/workers`]);
  });

  it('lasts over a reload by a look at the provider where that gives nothing to renew by', async () => {
    provider.refresh = false;
    await signIn('alice');
    await page.getByText('oidc:alice (admin)').waitFor();
    await page.goto(`${site}/jobs/default/a`);
    await page.getByText('oidc:alice (admin)').waitFor();
    assert.equal(page.url(), `${site}/jobs/default/a`);
    const length = await page.evaluate('history.length');
    await page.reload();
    await page.getByText('oidc:alice (admin)').waitFor();
    assert.equal(await page.evaluate('history.length'), length, 'there is nothing to go back to in between');
    const there = (await context.cookies(provider.issuer)).map(({ name }) => ({ name }));
    for (const { name } of there) if (!/cronfleet/.test(name)) await context.clearCookies({ name });
    await page.reload();
    await button().waitFor();
    assert.equal(page.url(), `${site}/jobs/default/a`);
    assert.equal(await page.getByRole('alert').count(), 0, 'nobody did anything wrong');
  });

  it('goes on as the token nears its end', async () => {
    await page.clock.install();
    await signIn('alice');
    await page.getByText('oidc:alice (admin)').waitFor();
    const renewed = page.waitForResponse(/\/sign-in\/renew$/);
    await page.clock.fastForward('50:00');
    await page.getByRole('link', { name: 'Workers' }).click();
    assert.equal((await renewed).status(), 200);
    await page.getByText('live').waitFor();
    await page.getByRole('link', { name: 'Jobs' }).click();
    await page.getByRole('heading', { name: 'Jobs' }).waitFor();
  });

  it('goes on as the token has ended where there is nothing to renew by, as long as the provider knows one', async () => {
    provider.refresh = false;
    await page.clock.install();
    await signIn('alice', '/alerts');
    await page.getByText('oidc:alice (admin)').waitFor();
    // It is back where it was when it left: which is held until it is where it is to come back to.
    const gone = Promise.withResolvers<void>();
    await page.route('**/sign-in/renew', async (route) => {
      await gone.promise;
      await route.continue();
    });
    const asked: string[] = [];
    page.on('request', (request) => {
      if (request.url() === `${site}/api/v1/sign-in`) asked.push(request.method());
    });
    await page.clock.fastForward('01:01:00');
    await page.getByRole('link', { name: 'Workers' }).click();
    await page.getByRole('heading', { name: 'Workers' }).waitFor();
    const there = page.waitForRequest((request) => request.url().includes('prompt=none'));
    const back = page.waitForResponse(
      (answer) => answer.url() === `${site}/api/v1/sign-in` && answer.request().method() === 'POST',
    );
    gone.resolve();
    await there;
    assert.equal((await back).status(), 200);
    await page.getByText('oidc:alice (admin)').waitFor();
    assert.equal(page.url(), `${site}/workers`);
    assert.deepEqual(asked, ['GET', 'POST'], 'whatever asks on a page leaves it once');
  });

  it('fits a phone', async () => {
    await page.setViewportSize({ width: 390, height: 800 });
    await page.goto(site);
    await button().waitFor();
    assert.equal(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), 0);
  });

  it('may do what its group may, and no more', async () => {
    await signIn('bob');
    await page.getByText('oidc:bob (viewer)').waitFor();
    assert.equal(await page.getByRole('button', { name: 'New job' }).count(), 0);
  });

  it('says of whom the groups give no role, which they are and what to set', async () => {
    await signIn('carl');
    await page
      .getByText(/oidc:carl is known, and has no role here: .* "sales"; oidc-roles has a line/)
      .waitFor();
    await button().waitFor();
    assert.equal(page.url(), `${site}/`);
  });

  it('says what the provider says when it lets somebody not in', async () => {
    provider.closed = true;
    await signIn('alice');
    await page.getByText(/The provider says access_denied: not you\. .*ask whoever administers/).waitFor();
  });

  it('takes no answer that this tab has not asked for', async () => {
    await page.goto(`${site}/sign-in?code=stolen&state=made-up`);
    await page.getByText(/to no sign-in of this tab/).waitFor();
    assert.equal(page.url(), `${site}/`);
    await page.goto(site);
    await page.evaluate(
      "sessionStorage.setItem('cronfleet.sign-in', JSON.stringify({state: 'mine', nonce: 'n', verifier: 'v', back: '/', silent: false}))",
    );
    await page.goto(`${site}/sign-in?code=stolen&state=made-up`);
    await page.getByText(/to no sign-in of this tab/).waitFor();
  });

  it('ends with signing out, and a reload does not bring it back', async () => {
    await signIn('alice');
    await page.getByRole('button', { name: 'Sign out' }).click();
    const there = page.getByRole('link', { name: /Sign out of 127\.0\.0\.1.*, too/ });
    await there.waitFor();
    assert.equal(await there.getAttribute('href'), `${provider.issuer}/session/end`);
    await page.reload();
    await button().waitFor();
    assert.deepEqual(
      (await context.cookies(`${site}/api/v1/sign-in`)).filter(({ name }) => /cronfleet/.test(name)),
      [],
    );
  });

  it('stands beside tokens', async () => {
    await page.goto(site);
    const { token } = JSON.parse(readFileSync(join(dir, 'data', 'client.json'), 'utf8'));
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Sign in by token' }).click();
    await page.getByText('local (admin)').waitFor();
    await page.reload();
    await page.getByText('local (admin)').waitFor();
  });
});
