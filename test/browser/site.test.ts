import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import { leftOut, startUp, type Up } from './up.ts';

describe('the site in a real browser', leftOut, () => {
  let up: Up;
  let page: Page;
  let complaints: string[];

  before(async () => {
    up = await startUp();
    ({ page, complaints } = up);
  });
  after(() => up?.close());

  async function make(name: string, command: string, schedule = ''): Promise<void> {
    await page.getByRole('link', { name: 'Jobs' }).click();
    await page.getByRole('button', { name: 'New job' }).click();
    await page.getByLabel('Name', { exact: true }).fill(name);
    await page.getByLabel('command').fill(command);
    await page.getByLabel('schedule').fill(schedule);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name }).waitFor();
  }

  it('signs in by the link alone, and takes the token out of the address', async () => {
    await page.getByRole('heading', { name: 'Jobs' }).waitFor();
    assert.equal(new URL(page.url()).hash, '');
    await page.getByText('No jobs yet').waitFor();
  });

  it('says in words what a schedule means while it is typed', async () => {
    await page.getByRole('button', { name: 'New job' }).click();
    await page.getByLabel('schedule').fill('*/5 * * * *');
    await page.getByText(/5 minutes/i).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
  });

  it('makes a job, runs it, and shows its log as it grows', async () => {
    const go = join(up.dir, 'go');
    await make('counter', `echo line 1; until [ -e ${go} ]; do sleep 0.05; done; echo line 2; echo line 3`);
    await page.getByRole('button', { name: 'Run now' }).click();
    const log = page.getByRole('log');
    await log.getByText('line 1').waitFor();
    assert.equal((await log.textContent())?.includes('line 3'), false, 'the log is seen before it is whole');
    writeFileSync(go, '');
    await log.getByText('line 3').waitFor();
    await page.getByText('succeeded').waitFor();
  });

  it('shows a run by its address alone, and gives its output as a file', async () => {
    await page.reload();
    await page.getByRole('log').getByText('line 3').waitFor();
    assert.match(await page.title(), /^default~counter~.* · cronfleet$/);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download' }).click(),
    ]);
    assert.match(download.suggestedFilename(), /^default~counter~.*\.log$/);
    assert.equal(readFileSync(await download.path(), 'utf8'), 'line 1\nline 2\nline 3\n');
    assert.equal(await page.getByRole('alert').count(), 0);
    const asRaw = (url: URL) => url.pathname.endsWith('/log') && url.search === '';
    await page.route(asRaw, (route) =>
      route.fulfill({ contentType: 'text/plain', headers: { 'x-cronfleet-complete': 'false' }, body: 'li' }),
    );
    await page.getByRole('button', { name: 'Download' }).click();
    await page
      .getByRole('alert')
      .getByText('the end of its output waits on its worker, or was lost')
      .waitFor();
    await page.unroute(asRaw);
  });

  it('tells on the first page what went wrong and why, what runs, what comes, and what is overdue', async () => {
    await up.ask('PUT', '/jobs/default/breaks', { command: 'echo no space; exit 3' });
    await up.ask('POST', '/jobs/default/breaks/run', {});
    await up.ask('PUT', '/jobs/default/lasts', { command: 'sleep 300', schedule: '@every 59m' });
    const { run } = (await up.ask('POST', '/jobs/default/lasts/run', {})) as { run: string };
    const overdue = { id: 'x', kind: 'overdue', title: 'default/lasts is overdue', job: 'default/lasts' };
    await page.route('**/alerts?open=true*', (route) =>
      route.fulfill({
        json: {
          items: [{ ...overdue, run: null, worker: null, at: '2026-11-22T16:00:00.000Z', partOf: null }],
          next: null,
        },
      }),
    );
    await page.getByRole('link', { name: 'cronfleet' }).click();
    const list = (name: string) => page.getByRole('region', { name });
    await list('Running').getByText('lasts').waitFor();
    await list('Next, within an hour').getByText('lasts').waitFor();
    await list('Went wrong').getByRole('link', { name: 'default/lasts is overdue' }).waitFor();
    const broken = list('Went wrong').getByRole('listitem').filter({ hasText: 'breaks: exit status 3' });
    await broken.getByRole('link', { name: /ago|now/ }).click();
    await page.getByRole('log').getByText('no space').waitFor();
    await page.unroute('**/alerts?open=true*');
    await page.getByRole('link', { name: 'cronfleet' }).click();
    await page.getByLabel('Last run').selectOption('failed');
    await page.getByRole('link', { name: 'counter' }).waitFor({ state: 'detached' });
    await page
      .getByRole('row')
      .filter({ hasText: 'exit status 3' })
      .getByRole('link', { name: 'breaks' })
      .waitFor();
    await page.getByLabel('Last run').selectOption('running');
    await page.getByRole('link', { name: 'breaks' }).waitFor({ state: 'detached' });
    await up.ask('POST', `/runs/${run}/kill`, { signal: 'KILL' });
    await page.getByText('No job matches').waitFor();
  });

  it('edits a job and leaves as it was what was not touched, lines of its command included', async () => {
    await make('lines', 'echo one\necho two', '0 4 * * *');
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Command').press('End');
    await page.getByLabel('Command').pressSequentially(' and a half');
    await page.getByLabel('Timeout').fill('5 minutes');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.locator('#timeout-help', { hasText: 'timeout: "5 minutes"' }).waitFor();
    assert.equal(await page.getByRole('alert').textContent(), 'Not saved: look at Timeout.');
    // What the server refused is the browser's to note, too.
    complaints.length = 0;
    await page.getByLabel('Timeout').fill('5m');
    await page.getByRole('alert').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name: 'Runs' }).waitFor();
    const command = page.locator('code.command', { hasText: 'half' });
    assert.match((await command.textContent()) ?? '', /^echo one.*\necho two.*$/);
  });

  it('shows what tells jobs apart whose names do not, and all that is set in one', async () => {
    const set = {
      shell: '/bin/bash',
      cwd: '/var/tmp',
      env: { LANG: 'C' },
      stdin: 'Dear root,\nall is well.\n',
    };
    const command = `mail -s report root # ${'to whom it may concern '.repeat(9)}`;
    await up.ask('PUT', '/jobs/default/cd-189f3b', { command, ...set });
    await up.ask('PUT', '/jobs/default/cd-7c01ef', { argv: ['echo', 'two words', "it's"] });
    await up.ask('PUT', '/jobs/default/cd-00aa11', { command: 'true', description: 'Keeps quiet' });
    await page.goto(`${up.base}/`);
    const row = (name: string) => page.getByRole('row').filter({ has: page.getByRole('link', { name }) });
    await row('cd-189f3b').getByTitle(command, { exact: true }).waitFor();
    await row('cd-7c01ef').getByText("echo 'two words' 'it'\\''s'").waitFor();
    await row('cd-00aa11').getByText('Keeps quiet').waitFor();
    await page.getByRole('link', { name: 'cd-189f3b' }).click();
    const input = page.getByRole('region', { name: 'Input' });
    assert.equal(await input.textContent(), set.stdin);
    for (const text of ['/bin/bash', '/var/tmp', 'LANG=C'])
      await page.getByText(text, { exact: true }).waitFor();
  });

  it('fits a phone, page by page', async () => {
    const whole = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 800 });
    const base = new URL(page.url()).origin;
    for (const path of [
      '/',
      '/new',
      '/jobs/default/counter',
      '/jobs/default/cd-189f3b',
      '/workers',
      '/nowhere/at/all',
    ]) {
      await page.goto(base + path);
      await page.getByRole('heading').first().waitFor();
      const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
      assert.equal(over, 0, path);
    }
    await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
    await page.goto(`${base}/`);
    if (whole !== null) await page.setViewportSize(whole);
  });

  it('kills a run', async () => {
    await make('sleeper', 'echo up; sleep 300');
    await page.getByRole('button', { name: 'Run now' }).click();
    await page.getByRole('log').getByText('up').waitFor();
    await page.getByRole('button', { name: 'Kill' }).click();
    await page.getByText(/confirmed/).waitFor();
    await page.getByText('killed', { exact: true }).waitFor();
    await page.getByRole('link', { name: 'sleeper' }).click();
    await page.getByRole('cell', { name: 'killed by local', exact: true }).waitFor();
  });

  it('pauses, resumes and deletes', async () => {
    await make('daily', 'true', '0 4 * * *');
    const paused = async () => (await up.ask('GET', '/jobs/default/daily')) as { paused: object | null };
    await page.evaluate('window.prompt = () => null');
    await page.getByRole('button', { name: 'Pause' }).click();
    assert.equal((await paused()).paused, null, 'who thinks better of it has paused nothing');
    await page.evaluate("window.prompt = () => 'a new disk'");
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText(/Paused by local: a new disk/).waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('heading', { name: 'Jobs' }).waitFor();
    await page.getByText('counter').waitFor();
    assert.equal(await page.getByText('daily', { exact: true }).count(), 0);
  });

  it('shows the workers, and drains one and lets it take again', async () => {
    await page.getByRole('link', { name: 'Workers' }).click();
    await page.getByText('live').waitFor();
    await page.getByRole('button', { name: /^Drain / }).click();
    await page.getByText('draining').waitFor();
    await page.getByRole('button', { name: /^Undrain / }).click();
    await page.getByText('live').waitFor();
  });

  it('signs out, and in again by a link in the tab that is open already', async () => {
    const link = await page.evaluate("localStorage.getItem('cronfleet.token')");
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token').waitFor();
    await page.evaluate("location.hash = 'token=cf_mistyped'");
    await page.getByText('This token is not valid here').waitFor();
    // What was refused is the browser's to note, too.
    complaints.length = 0;
    await page.evaluate(`location.hash = 'token=${link}'`);
    await page.getByRole('link', { name: 'Workers' }).waitFor();
    assert.equal(new URL(page.url()).hash, '');
  });

  it('has had nothing to complain about', () => {
    assert.deepEqual(complaints, []);
  });
});
