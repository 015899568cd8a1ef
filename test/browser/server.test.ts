import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import { readPackage } from '#infra/scripts/sources/project-files.ts';
import { leftOut, startUp, type Up } from './up.ts';

const { version } = readPackage();

describe('what the site says of a server that is not as it should be', leftOut, () => {
  let up: Up;
  let page: Page;
  before(async () => {
    up = await startUp();
    page = up.page;
  });
  after(() => up?.close());

  it('nothing while all is well', async () => {
    await page.getByText('No jobs yet').waitFor();
    const asked = page.waitForResponse('**/api/v1/health');
    await page.reload();
    assert.equal((await asked).status(), 200);
    await page.getByText('No jobs yet').waitFor();
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  it('that the page was built for another version, and what to do', async () => {
    // The server's own page, as an older build had it.
    await page.route(`${up.base}/`, async (route) => {
      const answer = await route.fetch();
      const body = (await answer.text()).replace(`content="${version}"`, 'content="0.0.1"');
      await route.fulfill({ response: answer, body });
    });
    await page.reload();
    const said = page
      .getByRole('alert')
      .filter({ hasText: `built for version 0.0.1 and the server is of ${version}` });
    await said.waitFor();
    await page.unroute(`${up.base}/`);
    await said.getByRole('link', { name: 'Load it again' }).click();
    await said.waitFor({ state: 'detached' });
    await page.getByText('No jobs yet').waitFor();
  });

  it('which of its stores is away', async () => {
    const stores = { kv: 'ok', history: 'away' };
    const away = { history: { since: '2026-11-22T16:35:00.000Z', why: 'unavailable (ECONNREFUSED)' } };
    await page.route('**/api/v1/health', (route) =>
      route.fulfill({ status: 503, json: { status: 'degraded', version, stores, away } }),
    );
    await page.reload();
    const said = page.getByRole('alert').filter({ hasText: 'The history does not answer the server' });
    await said.getByText(/away since .*2026.*unavailable \(ECONNREFUSED\)/).waitFor();
    assert.equal(await page.getByText('The store of jobs does not').count(), 0);
    await page.unroute('**/api/v1/health');
    up.complaints.length = 0;
  });

  it('what of a job is not known then, where there is a job', async () => {
    await up.ask('PUT', '/jobs/default/early', { command: 'true' });
    await page.route('**/api/v1/jobs?**', async (route) => {
      const answer = await route.fetch();
      const { items, next } = await answer.json();
      const short = items.map((view: object) => ({ ...view, last: null, away: ['history'] }));
      await route.fulfill({ response: answer, json: { items: short, next } });
    });
    await page.reload();
    await page.getByRole('row').filter({ hasText: 'early' }).getByText('not known').waitFor();
    await page.unroute('**/api/v1/jobs?**');
    await page.getByText('not known').waitFor({ state: 'detached' });
    await up.ask('DELETE', '/jobs/default/early');
  });

  it('that nobody answers, and all by itself when somebody does again', async () => {
    await page.route('**/api/v1/**', (route) => route.abort());
    await page.reload();
    await page.getByText('The server does not answer').waitFor();
    await page.unroute('**/api/v1/**');
    await page.getByText('No jobs yet').waitFor();
    up.complaints.length = 0;
  });

  it('that what answers is no API', async () => {
    await page.route('**/api/v1/me', (route) => route.fulfill({ contentType: 'text/html', body: '<html>' }));
    await page.reload();
    await page.getByText('is not the API of cronfleet').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    await page.unroute('**/api/v1/me');
  });

  it('that an answer makes no sense to a page, which leaves the way to the others', async () => {
    await page.route('**/api/v1/workers', (route) =>
      route.fulfill({ json: { items: [{ id: 1 }], next: null } }),
    );
    await page.goto(`${up.base}/workers`);
    await page.getByRole('heading', { name: 'This page can not be shown' }).waitFor();
    await page.getByRole('link', { name: 'Jobs' }).click();
    await page.getByText('No jobs yet').waitFor();
    await page.unroute('**/api/v1/workers');
  });

  it('has had nothing to complain about', () => {
    assert.deepEqual(up.complaints, []);
  });
});
