import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Page, Request, Route } from 'playwright-core';
import { leftOut, startUp, type Up } from './up.ts';

describe('the site, where an answer comes late', leftOut, () => {
  let up: Up;
  let page: Page;
  before(async () => {
    up = await startUp();
    page = up.page;
    await up.ask('PUT', '/jobs/default/slow', { command: 'true' });
  });
  after(() => up?.close());

  /** Has the first answer wait that is asked for there, and be of that status; after `come` it has come, with all that follows from it. */
  async function late(path: string, status?: number) {
    const asked = Promise.withResolvers<Request>();
    const held = Promise.withResolvers<void>();
    const hold = async (route: Route) => {
      asked.resolve(route.request());
      await held.promise;
      if (status === undefined) await route.continue();
      else await route.fulfill({ status, json: { status, code: 'x', detail: 'x' } });
    };
    await page.route(`**/api/v1${path}`, hold, { times: 1 });
    return {
      asked: asked.promise,
      async come() {
        held.resolve();
        await (await (await asked.promise).response())?.finished();
        // What is asked behind it is answered behind it.
        await page.evaluate("fetch('/api/v1/health').then((answer) => answer.text())");
      },
    };
  }
  const to = (name: string) => page.getByRole('link', { name, exact: true }).click();

  it('asks once for a run, and leads nobody away from where he has gone meanwhile', async () => {
    await to('slow');
    const orders: string[] = [];
    page.on('request', (one) => one.method() === 'POST' && orders.push(one.url()));
    const run = await late('/jobs/default/slow/run');
    await page.getByRole('button', { name: 'Run now' }).dblclick();
    await run.asked;
    await to('Workers');
    await page.getByText('live').waitFor();
    await run.come();
    assert.deepEqual(orders, [`${up.base}/api/v1/jobs/default/slow/run`]);
    assert.equal(new URL(page.url()).pathname, '/workers');
    await page.getByRole('heading', { name: 'Workers' }).waitFor();
  });

  it('has nobody signed out who has signed in anew meanwhile', async () => {
    await to('Jobs');
    const refused = await late('/workers', 401);
    await to('Workers');
    await refused.asked;
    const token = await page.evaluate("localStorage.getItem('cronfleet.token')");
    await page.evaluate(`location.hash = 'token=${token}'`);
    await page.getByText('live').waitFor();
    await refused.come();
    await page.getByText('live').waitFor();
    await page.reload();
    await page.getByText('live').waitFor();
    // What was refused is the browser's to note, too.
    up.complaints.length = 0;
  });

  it('shows a job as it was saved, and has it edited as that', async () => {
    await page.goto(`${up.base}/jobs/default/slow`);
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Timeout').fill('7m');
    const held = Promise.withResolvers<void>();
    await page.route('**/api/v1/jobs/default/slow', async (route) => {
      if (route.request().method() === 'GET') await held.promise;
      await route.continue();
    });
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('7m', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Edit' }).click();
    assert.equal(await page.getByLabel('Timeout').inputValue(), '7m');
    held.resolve();
    await page.getByLabel('Timeout').fill('8m');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('8m', { exact: true }).waitFor();
    await page.unroute('**/api/v1/jobs/default/slow');
  });

  it('goes on in a list from the page that is there, not from what stands in its place', async () => {
    const held = Promise.withResolvers<void>();
    const list = (url: URL) => url.pathname === '/api/v1/jobs';
    await page.route(list, async (route) => {
      const second = new URL(route.request().url()).searchParams.has('cursor');
      if (!second) {
        const { items } = await (await route.fetch()).json();
        return await route.fulfill({ json: { items, next: 'second' } });
      }
      await held.promise;
      await route.fulfill({ json: { items: [], next: null } });
    });
    await page.goto(`${up.base}/`);
    const more = page.getByRole('button', { name: 'More' });
    await more.click();
    await page.getByRole('button', { name: 'Back' }).waitFor();
    assert.equal(await more.isDisabled(), true);
    held.resolve();
    await more.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Back' }).click();
    await more.waitFor();
    await page.unrouteAll({ behavior: 'wait' });
  });

  it('does not say of a search that it has found nothing before it has looked', async () => {
    await page.goto(`${up.base}/`);
    await page.getByLabel('Search jobs').fill('nothing');
    await page.getByText('No job matches').waitFor();
    const found = await late('/jobs?*q=slow');
    await page.getByLabel('Search jobs').fill('slow');
    await found.asked;
    await page.getByText('Loading').waitFor();
    assert.equal(await page.getByText('No job matches').count(), 0);
    await found.come();
    await page.getByRole('link', { name: 'slow' }).waitFor();
  });

  it('has had nothing to complain about', () => {
    assert.deepEqual(up.complaints, []);
  });
});
