import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, it } from 'node:test';
import { systemClock } from '#core/ports/system-clock.ts';
import { askProvider } from '#functions/oidc/ask-provider.ts';

const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url ?? '');
  if (request.url === '/token') response.writeHead(307, { location: '/elsewhere' }).end();
  else if (request.url === '/large') response.end('x'.repeat(1_100_000));
  else response.end('{}');
});
before(() => once(server.listen(0, '127.0.0.1'), 'listening'));
after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
const reach = { clock: systemClock(), fetch: globalThis.fetch };
const at = (path: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;

it('what is for a provider goes where it says, and is not sent on', async () => {
  const body = new URLSearchParams({ code: 'c', client_secret: 's' });
  assert.equal((await askProvider(reach, at('/token'), { method: 'POST', body })).status, 307);
  assert.deepEqual(asked, ['/token']);
});

it('an answer that is no document of a provider is refused, or is nothing', async () => {
  await assert.rejects(askProvider(reach, at('/large')), /answers with over 1048576 bytes/);
  assert.deepEqual(await askProvider(reach, at('/')), { status: 200, json: {} });
});
