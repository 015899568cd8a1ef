import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { program } from '#agent/cli/program.ts';
import { gatewayHandler, lambdaGateway } from '#functions/cloud/gateway.ts';
import { type Api, makeApp } from '#test/api/make-app.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { contextOf, eventOf, responseOf } from './events.ts';

const run = 'default~a~o1~1';

let api: Api;
let clock: VirtualClock;
beforeEach(async () => {
  clock = new VirtualClock();
  api = await makeApp({ clock, gateway: lambdaGateway });
  await api.ran({ id: run, state: 'running' });
});
afterEach(() => api.close());

async function ask(query: string, accept: string, remainingMs = 29_000): Promise<Response> {
  const authorization = `Bearer ${await api.tokenOf('viewer')}`;
  const request = new Request(`https://x/api/v1/runs/${run}/log${query}`, {
    headers: { authorization, accept },
  });
  const payload = await gatewayHandler(api.app)(
    await eventOf(request),
    contextOf(() => remainingMs),
  );
  return responseOf(JSON.stringify(payload), 'GET');
}

describe("a run's log, through a gateway", () => {
  it('is waited for no longer than the function lives, less what sending takes', async () => {
    const waited = ask('?wait=20', 'application/json', 7_000);
    await clock.advance(5_000);
    assert.equal((await waited).status, 200);
  });

  it('comes as JSON where somebody would have it as events', async () => {
    assert.match((await ask('', 'text/event-stream')).headers.get('content-type') ?? '', /json/);
  });

  it('fits in an answer, whatever bytes a job writes', async () => {
    await api.said(run, 0, new Uint8Array(1_500_000).fill(7), 0);
    let read = 0;
    for (let from = 0; read < 1_500_000; ) {
      const part = (await (await ask(`?from=${from}`, 'application/json')).json()) as {
        text: string;
        next: number;
      };
      assert.ok(part.next > from && /^\x07+$/.test(part.text));
      read += part.text.length;
      from = part.next;
    }
    assert.equal(read, 1_500_000);
  });

  it('is given whole and raw where it fits, and refused where half would pass for the whole', async () => {
    const bytes = new Uint8Array(3_900_000).map((_, i) => i % 251);
    await api.said(run, 0, bytes, 0);
    const whole = await ask('', 'text/plain');
    assert.equal(whole.status, 200);
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes));
    await api.said(run, 1, new Uint8Array(200_000), 3_900_000);
    const more = await ask('', 'text/plain');
    assert.deepEqual([more.status, ((await more.json()) as { code: string }).code], [413, 'log_too_large']);
    assert.equal((await (await ask('?from=3900000', 'text/plain')).arrayBuffer()).byteLength, 200_000);
  });

  it('is printed by the command line to its end, however long', async () => {
    const bytes = new Uint8Array(4_500_000).map((_, i) => (i % 80 === 79 ? 10 : 97));
    await api.said(run, 0, bytes, 0);
    await api.ran({ id: run, state: 'succeeded' });
    let printed = '';
    const terminal = {
      ...{ line() {}, note() {}, paint: (_: string, text: string) => text, input: async () => '' },
      write(text: string) {
        printed += text;
      },
    };
    const code = await program(['logs', run], {
      ...{ env: { CRONFLEET_URL: 'https://x', CRONFLEET_TOKEN: await api.tokenOf('viewer') }, terminal },
      ...{ now: () => clock.now(), onInterrupt() {} },
      async fetch(url, init) {
        const event = await eventOf(new Request(url as string, init));
        const answer = await gatewayHandler(api.app)(
          event,
          contextOf(() => 29_000),
        );
        return responseOf(JSON.stringify(answer), 'GET');
      },
    });
    assert.equal(code, 0);
    assert.equal(printed.length, bytes.length);
    assert.equal(printed, Buffer.from(bytes).toString());
  });
});
