import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import { leftOut, startUp, type Up } from './up.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Finding {
  id: string;
  nodes: { target: string[]; failureSummary: string }[];
}

/** Each page, in the state that shows most of it. */
const pages: Record<string, { path: string; until: string; more?: (page: Page) => Promise<void> }> = {
  'the jobs': { path: '/', until: 'exit status 3' },
  'a job': { path: '/jobs/default/broken', until: 'Runbook' },
  'what was found in its logs': { path: '/jobs/default/broken?find=half&days=7', until: 'in all runs of' },
  'a search that was refused': { path: '/jobs/default/broken?find=half&days=0', until: 'expected' },
  'why an instant did not run': {
    path: '/jobs/default/broken?why=2026-11-22T16:35:00Z',
    until: 'What that rests on',
  },
  'why, of no instant': { path: '/jobs/default/broken?why=soon', until: 'expected a time' },
  'a job with an input': { path: '/jobs/default/paused', until: 'all is well' },
  'a job in its form': {
    path: '/jobs/default/broken',
    until: 'Runbook',
    async more(page) {
      await page.getByRole('button', { name: 'Edit' }).click();
      await page.getByText('Everything else').click();
      await page.getByText('Every minute').first().waitFor();
      await page.getByLabel('Timeout').fill('soon');
      await page.getByRole('button', { name: 'Save' }).click();
      await page.locator('#timeout-help.invalid-feedback').waitFor();
    },
  },
  'a job that is paused': { path: '/jobs/default/paused', until: 'Paused by' },
  'a run that failed': { path: '/runs/RUN', until: 'half of it' },
  'a line in the log of a run': { path: '/runs/RUN?at=8', until: 'Marked is' },
  'the workers': { path: '/workers', until: 'live' },
  'the alerts': {
    path: '/alerts',
    until: 'Not delivered',
    more: (page) => page.getByText('Details').first().click(),
  },
  'the channels': { path: '/channels', until: 'told of' },
  'a channel': { path: '/channels/mail', until: 'Quiet hours' },
  'a new job': { path: '/new', until: 'Everything else' },
  'the audit': {
    path: '/audit',
    until: 'job.update',
    more: (page) => page.locator('summary').first().click(),
  },
  'a job that is not there': { path: '/jobs/default/none', until: 'there is no job' },
  'a run that is not there': { path: '/runs/a~b~c~1', until: 'there is no run' },
  'no page': { path: '/nowhere', until: 'no such page' },
};

describe('the pages, to who does not see them, or has no mouse', leftOut, () => {
  let up: Up;
  let page: Page;
  let run: string;
  before(async () => {
    up = await startUp();
    page = up.page;
    // Far from now, whenever that is: then nothing is tried.
    const hour = String((new Date().getUTCHours() + 6) % 24).padStart(2, '0');
    await up.ask('PUT', '/channels/mail', {
      ...{ type: 'email', url: 'smtp://127.0.0.1:9', from: 'a@example.org', to: ['b@example.org'] },
      quiet: { from: `${hour}:00`, to: `${hour}:01`, timezone: 'UTC' },
    });
    await up.ask('PUT', '/jobs/default/paused', {
      ...{ command: 'true', schedule: '0 4 * * *', env: { LANG: 'C' }, stdin: `all is well\n`.repeat(40) },
    });
    await up.ask('POST', '/jobs/default/paused/pause', { reason: 'nobody needs it' });
    const job = {
      ...{ command: 'echo so far; echo half of it; exit 3', owner: 'ops', tags: ['db'] },
      runbook: 'https://example.org/broken',
      notify: [{ on: ['failed'], to: ['mail'] }],
    };
    await up.ask('PUT', '/jobs/default/broken', job);
    await up.ask('PUT', '/jobs/default/broken', { ...job, schedule: '* * * * *' });
    ({ run } = (await up.ask('POST', '/jobs/default/broken/run', {})) as { run: string });
  });
  after(() => up?.close());

  /** Nothing moves: of what is under way from one colour to another, a button below the pointer say, neither can be read. */
  const look = (colorScheme: 'light' | 'dark') => page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });

  /** What axe finds, each by its rule and place. */
  async function findings(): Promise<string[]> {
    await page.evaluate(axe);
    const found = (await page.evaluate('axe.run().then(({ violations }) => violations)')) as Finding[];
    return found.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
    );
  }

  for (const colorScheme of ['light', 'dark'] as const)
    for (const [name, { path, until, more }] of Object.entries(pages))
      it(`has nothing in ${name} that can not be read or heard, ${colorScheme}`, async () => {
        await look(colorScheme);
        await page.goto(up.base + path.replace('RUN', run));
        await page.getByText(until).first().waitFor();
        await more?.(page);
        assert.deepEqual(await findings(), []);
        // What the server refused is the browser's to note, too.
        up.complaints.length = 0;
      });

  for (const colorScheme of ['light', 'dark'] as const)
    it(`has nothing in the sign-in, ${colorScheme}`, async () => {
      await look(colorScheme);
      const token = await page.evaluate("localStorage.getItem('cronfleet.token')");
      await page.goto(`${up.base}/workers`);
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByLabel('Token').waitFor();
      assert.deepEqual(await findings(), []);
      await page.evaluate(`location.hash = 'token=${token}'`);
      await page.getByRole('link', { name: 'Workers' }).waitFor();
    });

  it('would say so if there were something', async () => {
    await page.evaluate("document.querySelector('main').innerHTML = '<input><img src=\"data:,\">'");
    const rules = (await findings()).map((one) => one.split(':')[0]);
    assert.ok(rules.includes('label') && rules.includes('image-alt'), rules.join());
  });

  it('leads by keys alone from what went wrong to its log', async () => {
    await page.goto(`${up.base}/`);
    // The run, not the alert of it, which goes when the runs come.
    const wrong = page.getByRole('region', { name: 'Went wrong' }).getByRole('listitem');
    await wrong.filter({ hasText: 'broken: exit status 3' }).waitFor();
    const inFocus = () => page.evaluate('document.activeElement.textContent') as Promise<string>;
    const passed: string[] = [];
    for (let pressed = 0; pressed < 30 && !/ago|now/.test(passed.at(-1) ?? ''); pressed += 1) {
      await page.keyboard.press('Tab');
      passed.push(await inFocus());
    }
    assert.deepEqual(passed.slice(0, 2), ['cronfleet', 'Jobs']);
    assert.deepEqual(passed.slice(-2, -1), ['broken']);
    await page.keyboard.press('Enter');
    await page.getByRole('log').getByText('half of it').waitFor();
    assert.equal(await page.evaluate('document.activeElement.localName'), 'main');
    await page.keyboard.press('Tab');
    assert.equal(await inFocus(), 'broken');
  });

  it('has had nothing to complain about', () => {
    assert.deepEqual(up.complaints, []);
  });
});
