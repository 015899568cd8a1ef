import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import { until } from '#test/until.ts';
import { leftOut, startUp, type Up } from './up.ts';

/** Run in the page: how far what is seen of the log is from its end, in its own heights. */
const fromEnd = `(() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector('.log');
  return (scrollHeight - scrollTop - clientHeight) / clientHeight;
})()`;

/** Run in the page: the browser's word of a scroll comes when the log has grown in between, as it does where a part follows the other within a frame. */
const tellLate = `(() => {
  addEventListener('scroll', (event) => event.isTrusted && event.stopImmediatePropagation(), true);
  const tell = () => document.querySelector('.log')?.dispatchEvent(new Event('scroll'));
  new MutationObserver(tell).observe(document.body, { childList: true, characterData: true, subtree: true });
})()`;

/** Run in the page: scrolls the log as its reader would, and says where that is. */
const scrollTo = (where: string) => `(() => {
  const pre = document.querySelector('.log');
  pre.scrollTop = ${where};
  pre.dispatchEvent(new Event('scroll'));
  return pre.scrollTop;
})()`;

describe('the end of a log, in a real browser that tells late of scrolls', leftOut, () => {
  let up: Up;
  let page: Page;
  let run = '';
  /** A pipe for each part: of one for all, whoever reads next may still meet the writer before, and take its leaving for a word. */
  const gate = (part: number) => join(up.dir, `go-${part}`);
  const grow = (part: number) => writeFile(gate(part), 'go\n');
  const shows = (text: string) => page.getByRole('log').getByText(text).waitFor();
  before(async () => {
    up = await startUp();
    page = up.page;
    execFileSync('mkfifo', [1, 2, 3].map(gate));
    const parts = [1, 2, 3].map((part) => `read -r go < ${gate(part)}; seq -f "${part}: %.0f." 1 5000`);
    await up.ask('PUT', '/jobs/default/grows', { command: ['echo begun', ...parts].join('; ') });
    ({ run } = (await up.ask('POST', '/jobs/default/grows/run', {})) as { run: string });
    await page.goto(`${up.base}/runs/${encodeURIComponent(run)}`);
    await shows('begun');
    await page.evaluate(tellLate);
  });
  after(() => up?.close());

  it('takes along who is there', async () => {
    await grow(1);
    await shows('1: 5000.');
    await until(
      'its end to be seen',
      () => page.evaluate<number>(fromEnd),
      (far) => far < 1,
    );
  });

  it('leaves alone who has scrolled up', async () => {
    const before = await page.evaluate<number>(scrollTo('pre.scrollTop - 2_000'));
    await grow(2);
    await shows('2: 5000.');
    assert.equal(await page.evaluate(scrollTo('pre.scrollTop')), before);
  });

  it('takes along again who has come back to it', async () => {
    await page.evaluate(scrollTo('pre.scrollHeight'));
    await grow(3);
    await shows('3: 5000.');
    await until(
      'its end to be seen',
      () => page.evaluate<number>(fromEnd),
      (far) => far < 1,
    );
  });

  it('is where one is who has been at a line that was found', async () => {
    const found = new URLSearchParams({ at: '20000' });
    await page.goto(`${up.base}/runs/${encodeURIComponent(run)}?${found}`);
    await page.getByRole('log').locator('mark').waitFor();
    assert.ok((await page.evaluate<number>(fromEnd)) > 1);
    await page.evaluate(tellLate);
    await page.getByRole('link', { name: 'Show it as it ends' }).click();
    await shows('3: 5000.');
    await until(
      'its end to be seen',
      () => page.evaluate<number>(fromEnd),
      (far) => far < 1,
    );
  });

  it('has had nothing to complain about', () => {
    assert.deepEqual(up.complaints, []);
  });
});
