import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import { until } from '#test/until.ts';
import { typesAtOnce } from './at-once.ts';
import { leftOut, startUp, type Up } from './up.ts';

interface Runs {
  items: { id: string; instant: string }[];
}

describe('why an instant ran or did not, in a real browser', leftOut, () => {
  let up: Up;
  let page: Page;
  /** A run of the schedule that lives, and an instant that it kept from running. */
  let lives: string;
  let skipped: string;
  before(async () => {
    up = await startUp();
    page = up.page;
    await up.ask('PUT', '/jobs/default/daily', { command: 'true', schedule: `0 ${hour} * * *` });
    await up.ask('PUT', '/jobs/default/lasts', { command: 'sleep 300', schedule: '@every 1s' });
    const first = (state: string) =>
      until(`a run that is ${state}`, async () => {
        const { items } = (await up.ask('GET', `/runs?job=lasts&state=${state}`)) as Runs;
        // The newest: its row is on the first page, however many there are by the time they are looked at.
        return items[0];
      });
    lives = (await first('running'))?.id ?? '';
    skipped = (await first('skipped'))?.instant ?? '';
    // Its list then stands still.
    await up.ask('POST', '/jobs/default/lasts/pause', {});
  });
  after(async () => {
    if (lives) await up.ask('POST', `/runs/${lives}/kill`, { signal: 'KILL' });
    await up?.close();
  });

  /** Of the day, far from now, whenever that is: what was due then was due before the job was made. */
  const hour = String((new Date().getUTCHours() + 6) % 24).padStart(2, '0');
  const answer = () => page.getByRole('region', { name: 'Why' });
  const times = () =>
    answer()
      .locator('tbody time')
      .evaluateAll((all) => all.map((one) => one.getAttribute('datetime') ?? ''));
  async function open(path: string): Promise<void> {
    await page.goto(up.base + path);
    await page.getByRole('heading', { name: 'Runs' }).waitFor();
  }

  it('is asked by a run that did not start, and answered with what that rests on, in its order', async () => {
    await open('/jobs/default/lasts');
    const row = page.getByRole('row').filter({ has: page.locator(`time[datetime="${skipped}"]`) });
    await row.getByRole('link', { name: 'why' }).click();
    await answer()
      .getByText(/It was skipped: overlap: default~lasts~\S+ still lives\./)
      .waitFor();
    assert.equal(new URL(page.url()).searchParams.get('why'), skipped);
    // When it has been drawn.
    const heard = () => page.evaluate("document.activeElement.getAttribute('aria-label')");
    await until(
      'the focus to be on the answer, where who goes by keys goes on',
      heard,
      (one) => one === 'Why',
    );
    const record = answer().getByRole('row').filter({ hasText: ': skipped (overlap' });
    assert.equal(await record.getByRole('cell').last().textContent(), 'history');
    await answer().getByRole('row').filter({ hasText: 'decided up to' }).waitFor();
    const found = await times();
    assert.ok(found.length >= 2, found.join());
    assert.deepEqual(found, found.toSorted());
    const typed = (await page.evaluate(
      "new Date(document.getElementById('why').value).toISOString()",
    )) as string;
    assert.equal(typed, skipped, 'the field has it, as a local time');
  });

  it('keeps to the width of a phone', async () => {
    const whole = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 800 });
    assert.equal(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), 0);
    if (whole !== null) await page.setViewportSize(whole);
  });

  it('is asked on the page of a run, too', async () => {
    await page.goto(`${up.base}/runs/${lives}`);
    await page.getByRole('link', { name: 'why it is so' }).click();
    await answer().getByText(`${lives} is running on`).waitFor();
    await answer().getByRole('link', { name: 'Its record' }).click();
    await page.getByRole('heading', { name: 'Output' }).waitFor();
    assert.equal(new URL(page.url()).pathname, `/runs/${lives}`);
  });

  it('is, where no instant is named, that of the last that was due', async () => {
    await open('/jobs/default/daily');
    assert.equal(await answer().count(), 0);
    await page.getByRole('button', { name: 'Say why' }).click();
    await answer().getByText('The job was made only later').waitFor();
    const at = await answer().getByRole('heading').locator('time').getAttribute('datetime');
    assert.equal(at?.slice(10), `T${hour}:00:00.000Z`);
  });

  it('is of any instant that is typed, and the way back leads to the one before', async () => {
    await page.getByLabel('Why an instant ran, or did not').fill('2026-11-22T16:35:07');
    await page.getByRole('button', { name: 'Say why' }).click();
    const asked = (await page.evaluate("new Date('2026-11-22T16:35:07').toISOString()")) as string;
    await answer().getByText(`${asked} is not an instant of default/daily's present schedule`).waitFor();
    await page.goBack();
    await answer().getByText('The job was made only later').waitFor();
    assert.equal(await page.getByLabel('Why an instant ran, or did not').inputValue(), '');
  });

  it('is of what is typed in the moment in which there is a field', async () => {
    await page.goto(`${up.base}/`);
    await page.getByRole('link', { name: 'daily' }).waitFor();
    await page.evaluate(typesAtOnce('why', '2026-11-22T16:35:08'));
    await page.getByRole('link', { name: 'daily' }).click();
    await page.getByRole('button', { name: 'Say why' }).click();
    await answer()
      .getByText(/:35:08.000Z is not an instant of default.daily's present schedule/)
      .waitFor();
  });

  it('says what is left out while the history does not answer, and that nothing answers', async () => {
    const found = { instant: skipped, state: 'unknown', sentence: 'Nobody knows.', run: null };
    const evidence = [{ at: null, what: 'does not answer', source: 'history' }];
    await page.route('**/why?*', (route) =>
      route.fulfill({ json: { ...found, evidence, away: ['history'] } }),
    );
    await open(`/jobs/default/lasts?why=${skipped}`);
    await answer().getByText('Left out is what only the history knows').waitFor();
    await page.unroute('**/why?*');
    const detail = 'kv: does not answer';
    await page.route('**/why?*', (route) =>
      route.fulfill({ status: 503, json: { status: 503, code: 'store_unavailable', detail } }),
    );
    await open('/jobs/default/daily?why=');
    await page.getByRole('alert').getByText(detail).waitFor();
    await page.unroute('**/why?*');
    await page.getByRole('button', { name: 'Say why' }).click();
    await answer().getByText('The job was made only later').waitFor();
    assert.equal(await page.getByRole('alert').count(), 0);
    // What was not answered is the browser's to note, too.
    up.complaints.length = 0;
  });

  it('has had nothing to complain about', () => {
    assert.deepEqual(up.complaints, []);
  });
});
