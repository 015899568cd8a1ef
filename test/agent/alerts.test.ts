import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { mailSink, webhookReceiver } from '#test/receivers.ts';
import { within } from '#test/until.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
const skip = process.platform === 'linux' ? false : 'agents run on Linux';

it('a job that breaks is told of by webhook and mail, once, and so is that it is well again', {
  skip,
}, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-alerts-'));
  const [hook, mails] = await Promise.all([webhookReceiver(), mailSink()]);
  const args = ['up', '--data', join(dir, 'data'), '--listen', '127.0.0.1:0', '--log-level', 'error'];
  const server = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(server, 'exit');
  t.after(async () => {
    server.kill('SIGTERM');
    await gone;
    await Promise.all([hook.close(), mails.close()]);
    rmSync(dir, { recursive: true, force: true });
  });
  const said = Promise.race([once(server.stdout, 'data'), gone]);
  const [line] = await within('up to say where it is', said, () => 'nothing');
  const [, url = '', token = ''] = /(http:\S+)\/#token=(\S+)/.exec(String(line)) ?? [];
  // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
  async function ask(method: string, path: string, body?: object): Promise<any> {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await response.json();
    assert.ok(response.ok, JSON.stringify(answer));
    return answer;
  }
  const save = (command: string) =>
    ask('PUT', '/jobs/default/backup', {
      ...{ command, schedule: '* * * * * *', runbook: 'https://wiki.example/backup' },
      notify: [{ on: ['failed', 'recovered'], to: ['hook', 'mail'] }],
    });

  await ask('PUT', '/channels/hook', { type: 'webhook', url: hook.url, secret: 'not to be known' });
  await ask('PUT', '/channels/mail', {
    ...{ type: 'email', url: mails.url, from: 'cronfleet@example.org', to: ['ops@example.org'] },
  });
  await save('echo no space left >&2; exit 3');
  const broken = JSON.parse((await hook.inbox.first(({ body }) => body.includes('failed'))).body);
  assert.equal(broken.subject, 'default/backup failed: exit status 3');
  const mail = await mails.inbox.first(({ text }) => text.includes('failed: exit status 3'));
  assert.match(mail.text, /no space left/);
  assert.match(mail.text, /runbook: https:\/\/wiki.example\/backup/);
  const [run] = broken.alerts.map((one: { run: string }) => one.run);
  assert.equal((await ask('GET', `/runs/${run}/log`)).text, 'no space left\n');

  await save('true');
  const well = JSON.parse((await hook.inbox.first(({ body }) => body.includes('well again'))).body);
  assert.equal(well.subject, 'default/backup is well again');
  await mails.inbox.first(({ text }) => text.includes('well again'));
  // It failed each second until it was mended.
  assert.deepEqual([hook.inbox.all.length, mails.inbox.all.length], [2, 2]);
  const { items } = await ask('GET', '/alerts');
  assert.ok(items.filter(({ kind }: { kind: string }) => kind === 'failed').length >= 1);
  assert.deepEqual((await ask('GET', '/alerts?open=true')).items, []);
});
