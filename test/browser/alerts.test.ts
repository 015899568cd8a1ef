import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import { webhookReceiver } from '#test/receivers.ts';
import { leftOut, startUp, type Up } from './up.ts';

const key = 'services-T000-B000';
const secret = 'a secret of some length';

describe('alerts, their channels and the audit in a real browser', leftOut, () => {
  let up: Up;
  let page: Page;
  let hook: Awaited<ReturnType<typeof webhookReceiver>>;

  before(async () => {
    hook = await webhookReceiver();
    up = await startUp();
    page = up.page;
  });
  after(async () => {
    await up?.close();
    await hook.close();
  });

  const open = async (path: string, heading: string): Promise<void> => {
    await page.goto(up.base + path);
    await page.getByRole('heading', { name: heading, exact: true }).waitFor();
  };
  const item = (text: string | RegExp): Locator => page.getByRole('listitem').filter({ hasText: text });
  const save = () => page.getByRole('button', { name: 'Save' }).click();
  const nav = () => page.getByRole('navigation');

  it('says what there is where there is nothing yet', async () => {
    await open('/alerts', 'Alerts');
    await page.getByText('Nothing is wrong').waitFor();
    await page.getByText('There has been none').waitFor();
    await page.getByRole('button', { name: 'Channels' }).click();
    await page.getByText('No channels yet').waitFor();
    await page.getByRole('link', { name: 'Audit' }).click();
    await page.getByText('Nobody has changed anything').waitFor();
    assert.equal(await nav().getByText('open').count(), 0);
  });

  it('names every mistake in a channel at its field, in the words of the API', async () => {
    await open('/new/channel', 'New channel');
    await page.getByLabel('Name').fill('mail');
    await page.getByLabel('Kind').selectOption('email');
    await page.getByLabel('Address').fill('http://x');
    await page.getByLabel('Quiet from').fill('25:00');
    await save();
    const wrong = { url: 'smtp://', from: 'such as ops@example.org', to: 'at least one', quietFrom: '22:00' };
    for (const [field, expected] of Object.entries(wrong))
      await page.locator(`#${field}-help.invalid-feedback`).getByText(expected).waitFor();
    // What the server refused is the browser's to note, too.
    up.complaints.length = 0;
  });

  it('makes a channel, and shows nobody its secrets again', async () => {
    await open('/new/channel', 'New channel');
    await page.getByLabel('Name').fill('ops');
    await page.getByLabel('Address').fill(`${hook.url}/${key}`);
    await page.getByLabel('Secret').fill(secret);
    await page.getByLabel('a schedule is overdue').uncheck();
    await save();
    await item('ops').getByText('signed').waitFor();
    await item('ops')
      .getByText(/worker dead/)
      .waitFor();
    assert.doesNotMatch((await item('ops').textContent()) ?? '', /overdue/);
    await item('ops').getByRole('link', { name: 'ops' }).click();
    await page.getByRole('heading', { name: 'Channel ops' }).waitFor();
    assert.equal(await page.getByLabel('Secret').inputValue(), '');
    assert.match(await page.getByLabel('Address').inputValue(), /^http:\/\/127[^/]+\/\*\*\*[0-9a-f]{4}$/);
    assert.equal(await page.getByLabel('a schedule is overdue').isChecked(), false);
    assert.ok(!(await page.content()).includes(key));
  });

  it('keeps the secret and the address where something else is saved, quiet hours say', async () => {
    // Far from now, whenever that is.
    const hour = String((new Date().getUTCHours() + 6) % 24).padStart(2, '0');
    await page.getByLabel('Quiet from').fill(`${hour}:00`);
    await page.getByLabel('Quiet to').fill(`${hour}:01`);
    await save();
    await item('ops').getByText(`quiet from ${hour}:00 to ${hour}:01`).waitFor();
    await page.getByRole('button', { name: 'Send a test' }).click();
    await item('ops').getByText('Delivered: answered with HTTP 204').waitFor();
    const { path, headers } = await hook.inbox.first(() => true);
    assert.equal(path, `/${key}`);
    assert.match(String(headers['x-cronfleet-signature']), /^sha256=/);
  });

  it('says by a test what exactly goes wrong', async () => {
    hook.answers(403);
    await page.getByRole('button', { name: 'Send a test' }).click();
    await item('ops').getByText('Not delivered: answered with HTTP 403').waitFor();
    hook.answers(204);
    const gone = await webhookReceiver();
    await gone.close();
    await up.ask('PUT', '/channels/deaf', { type: 'slack', url: gone.url });
    await open('/channels', 'Channels');
    await item('deaf').getByRole('button', { name: 'Send a test' }).click();
    await item('deaf')
      .getByText(/Not delivered: .*ECONNREFUSED/)
      .waitFor();
  });

  it('has a job tell a channel, and says which there are where it names none', async () => {
    await open('/new', 'New job');
    await page.getByLabel('Name', { exact: true }).fill('backup');
    await page.getByLabel('Command').fill('echo half of it; exit 3');
    await page.getByRole('button', { name: 'Tell somebody' }).click();
    await page.getByLabel('Channels').fill('nobody');
    await save();
    await page
      .locator('#notify-0-help')
      .getByText(/a channel: deaf, ops/)
      .waitFor();
    up.complaints.length = 0;
    await page.getByLabel('Channels').fill('ops, deaf');
    await page.getByLabel('missed').uncheck();
    await save();
    await page.getByText('ops, deaf when failed, timed out, lost, recovered').waitFor();
    await page.getByRole('button', { name: 'Edit' }).click();
    assert.equal(await page.getByLabel('Channels').inputValue(), 'ops, deaf');
    await page.getByRole('button', { name: 'Cancel' }).click();
  });

  it('shows by itself what went wrong: what, since when, who was told, and who was not and why', async () => {
    await open('/alerts', 'Alerts');
    await up.ask('POST', '/jobs/default/backup/run', {});
    const alert = item('default/backup failed: exit status 3');
    await alert.getByText(/Told ops/).waitFor();
    await alert.getByText(/Not delivered to deaf: .*ECONNREFUSED.*; it is tried again/).waitFor();
    await alert.getByText(/since/).waitFor();
    await nav().getByText('1 open').waitFor();
    await alert.getByText('Details').click();
    await alert.getByText('half of it').waitFor();
    await alert.getByRole('link', { name: 'its run' }).click();
    await page.getByRole('log').getByText('half of it').waitFor();
    await page.goBack();
    await alert.getByRole('link', { name: 'backup' }).click();
    await page.getByRole('heading', { name: 'backup', exact: true }).waitFor();
  });

  it('counts what comes up again, and tells what is over from what stands', async () => {
    await open('/alerts', 'Alerts');
    await up.ask('POST', '/jobs/default/backup/run', {});
    await item('default/backup failed').getByText('× 2').waitFor();
    await nav().getByText('1 open').waitFor();
    const links = await item('default/backup failed').getByRole('link').all();
    const runs = (await Promise.all(links.map((link) => link.getAttribute('href')))).filter((to) =>
      to?.startsWith('/runs/'),
    );
    assert.equal(new Set(runs).size, 2, 'the first run and the last each have their link');

    const { job } = (await up.ask('GET', '/jobs/default/backup')) as { job: { notify: unknown } };
    await up.ask('PUT', '/jobs/default/backup', { command: 'true', notify: job.notify });
    await up.ask('POST', '/jobs/default/backup/run', {});
    await page.getByText('Nothing is wrong').waitFor();
    await item('default/backup failed').getByText(/over /).waitFor();
    await item('default/backup is well again')
      .getByText(/Told ops/)
      .waitFor();
    await item('default/backup failed').getByText('× 2').waitFor();
    assert.equal(await nav().getByText('open').count(), 0);
  });

  it('deletes a channel, and says of one that is not there that it is not', async () => {
    await open('/channels/deaf', 'Channel deaf');
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('deaf is told of default/backup').waitFor();
    up.complaints.length = 0;
    const notify = [{ on: ['failed'], to: ['ops'] }];
    await up.ask('PUT', '/jobs/default/backup', { command: 'true', notify });
    await page.getByRole('button', { name: 'Delete' }).click();
    await item('ops').waitFor();
    assert.equal(await item('deaf').count(), 0);
    await open('/channels/deaf', 'There is no channel deaf');
  });

  it('tells who changed what, when, and what was before and after', async () => {
    await open('/audit', 'Audit');
    // The newest stands first.
    const change = item('job.update').filter({ hasText: 'backup' }).last();
    await change.locator('summary').click();
    const row = change.getByRole('row').filter({ hasText: 'command' });
    assert.deepEqual(await row.getByRole('cell').allTextContents(), [
      ...['command', 'echo half of it; exit 3', 'true'],
    ]);
    await change.getByText('local').waitFor();
    await item('channel.delete').getByText('deaf').waitFor();
    assert.ok(!(await page.content()).includes(key));

    await page.getByLabel('Job').fill('backup');
    await page.getByRole('button', { name: 'Show' }).click();
    await item('channel').first().waitFor({ state: 'detached' });
    await change.waitFor();
    await page.getByLabel('Who').fill('somebody else');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByText('Of that there is nothing').waitFor();
  });

  it('fits a phone, page by page', async () => {
    const whole = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 800 });
    for (const path of ['/alerts', '/channels', '/channels/ops', '/new/channel', '/audit']) {
      await page.goto(up.base + path);
      await page.getByRole('heading').first().waitFor();
      await page.getByText('Loading').first().waitFor({ state: 'detached' });
      const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
      assert.equal(over, 0, path);
    }
    if (whole !== null) await page.setViewportSize(whole);
  });

  it('shows channels and audit to admins, and everybody the alerts', async () => {
    const { token } = (await up.ask('POST', '/tokens', { name: 'eve', role: 'viewer' })) as { token: string };
    const own = await page.evaluate("localStorage.getItem('cronfleet.token')");
    await page.evaluate(`location.hash = 'token=${token}'`);
    await page.getByText('eve (viewer)').waitFor();
    await open('/alerts', 'Alerts');
    await page.getByText('default/backup failed: exit status 3', { exact: true }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'Channels' }).count(), 0);
    assert.equal(await page.getByRole('link', { name: 'Audit' }).count(), 0);
    await page.goto(`${up.base}/channels`);
    await page
      .getByRole('alert')
      .getByText(/needs the role admin/)
      .waitFor();
    await page.evaluate(`location.hash = 'token=${own}'`);
    await page.getByText('local (admin)').waitFor();
    await item('ops').waitFor();
    up.complaints.length = 0;
  });

  it('has had nothing to complain about', () => {
    assert.deepEqual(up.complaints, []);
  });
});
