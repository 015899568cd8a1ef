import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import { until } from '#test/until.ts';
import { typesAtOnce } from './at-once.ts';
import { leftOut, startUp, type Up } from './up.ts';

/** What a job prints: much before the line that is looked for, and much behind it. */
const command = [
  'seq -f "before %.0f €" 1 30000',
  'printf "\\033[31mneedle\\033[0m in the hay\\n"',
  'seq -f "after %.0f" 1 60000',
].join('; ');

/** Run in the page: whether what is marked stands inside what scrolls around it. */
const inSight = `(() => {
  const [own, box] = ['mark', '.log'].map((one) => document.querySelector(one).getBoundingClientRect());
  return own.top >= box.top && own.bottom <= box.bottom;
})()`;

/** Run in the page: whether the end of the log is what is seen of it. */
const atEnd = `(() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector('.log');
  return scrollHeight > 2 * clientHeight && scrollHeight - scrollTop - clientHeight < 40;
})()`;

describe('the search in the logs of a job, in a real browser', leftOut, () => {
  let up: Up;
  let page: Page;
  before(async () => {
    up = await startUp();
    page = up.page;
    await ran('speaks', command);
    await ran('repeats', 'seq -f "needle %.0f" 1 600');
  });
  after(() => up?.close());

  async function ran(name: string, command: string): Promise<void> {
    await up.ask('PUT', `/jobs/default/${name}`, { command });
    const { run } = (await up.ask('POST', `/jobs/default/${name}/run`, {})) as { run: string };
    const log = async (from: number) =>
      (await up.ask('GET', `/runs/${run}/log?from=${from}&wait=20`)) as { next: number; done: boolean };
    for (let part = await log(0); !part.done; ) part = await log(part.next);
  }
  async function find(text: string, days = '7'): Promise<void> {
    await page.getByLabel('Find in its output').fill(text);
    await page.getByLabel('Of the last days').fill(days);
    await page.getByRole('button', { name: 'Find' }).click();
  }
  const open = async (job: string) => {
    await page.goto(`${up.base}/jobs/default/${job}`);
    await page.getByRole('heading', { name: job }).waitFor();
  };
  const lines = (text: RegExp) => page.getByRole('link', { name: text });

  it('finds a line where a job is looked at, and leads to it in the log of its run', async () => {
    await open('speaks');
    await find('needle');
    await page.getByText('1 line, in all runs of the last 7 days.').waitFor();
    await lines(/^needle in the hay$/).click();
    const mark = page.getByRole('log').locator('mark');
    await mark.waitFor();
    assert.equal(await mark.textContent(), 'needle in the hay');
    // It is scrolled to when it has been drawn.
    await until('the line to be in sight', () => page.evaluate(inSight));
    const log = (await page.getByRole('log').textContent()) ?? '';
    assert.match(log, /^before \d+ €\n.*\nbefore 30000 €\nneedle in the hay\nafter 1\n/s);
    await page.getByText('More stands before and behind what is shown').waitFor();
    await page.getByRole('link', { name: 'Show it as it ends' }).click();
    await page.getByRole('log').getByText('after 60000').waitFor();
    await until('the end to be in sight', () => page.evaluate(atEnd));
  });

  it('comes back to what was found, as it was', async () => {
    await page.goBack();
    await page.getByRole('log').locator('mark').waitFor();
    await page.goBack();
    await lines(/^needle in the hay$/).waitFor();
    assert.equal(await page.getByLabel('Find in its output').inputValue(), 'needle');
    await page.goBack();
    await lines(/^needle/).waitFor({ state: 'detached' });
    assert.equal(await page.getByLabel('Find in its output').inputValue(), '');
  });

  it('keeps what is typed in the moment in which there is a field', async () => {
    await page.goto(`${up.base}/`);
    await page.getByRole('link', { name: 'speaks' }).waitFor();
    await page.evaluate(typesAtOnce('find', 'in the hay'));
    await page.getByRole('link', { name: 'speaks' }).click();
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByText('1 line, in all runs of the last 7 days.').waitFor();
    assert.equal(await page.getByLabel('Find in its output').inputValue(), 'in the hay');
  });

  it('says that nothing was found, and where it looked', async () => {
    await find('Needle', '1');
    await page.getByText('No line has it, in all runs of the last day.').waitFor();
  });

  it('says how far it came where there is more, and goes on from there', async () => {
    await open('repeats');
    await find('needle');
    await page.getByText(/^500 lines so far: it is searched back into the run of /).waitFor();
    assert.equal(await lines(/^needle \d+$/).count(), 5);
    await page.getByRole('button', { name: '495 lines more' }).click();
    assert.equal(await lines(/^needle \d+$/).count(), 500);
    await page.getByRole('button', { name: 'Search on' }).click();
    await page.getByText('600 lines, in all runs of the last 7 days.').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Search on' }).count(), 0);
    await lines(/^needle 600$/).waitFor();
  });

  it('names at its field what can not be asked', async () => {
    await find('needle', '0');
    await page.locator('#days-help').getByText(/36500/).waitFor();
    await find('needle', '2');
    await page.getByText(/^500 lines so far/).waitFor();
    assert.equal(await page.locator('#days-help').textContent(), '');
    // What the server refused is the browser's to note, too.
    up.complaints.length = 0;
  });

  it('says that the history does not answer, and asks again when told to', async () => {
    const detail = 'history: does not answer';
    await page.route('**/search?*', (route) =>
      route.fulfill({ status: 503, json: { status: 503, code: 'store_unavailable', detail } }),
    );
    await find('needle 7');
    await page.getByRole('alert').getByText(detail).waitFor();
    await page.unroute('**/search?*');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('11 lines, in all runs').waitFor();
    assert.equal(await page.getByRole('alert').count(), 0);
    up.complaints.length = 0;
  });

  it('is left by asking for nothing', async () => {
    await find('');
    await lines(/^needle/)
      .first()
      .waitFor({ state: 'detached' });
    assert.equal(new URL(page.url()).search, '');
  });

  it('has had nothing to complain about', () => {
    assert.deepEqual(up.complaints, []);
  });
});
