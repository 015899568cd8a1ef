import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { after, describe, it } from 'node:test';
import { listener } from '#functions/listener.ts';

describe('a port that is closed', { timeout: 20_000 }, () => {
  const agent = new Agent({ keepAlive: true });
  after(() => agent.destroy());

  /** A request under way, on a connection that its client would keep; `answer` lets it be answered. */
  async function underWay() {
    const port = listener({ host: '127.0.0.1', port: 0 });
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const url = await port.listen(async () => {
      begin();
      await answered;
      return new Response('done');
    });
    const said = new Promise<string>((resolve) => {
      const asking = request(url, { agent }, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      });
      asking.on('error', (error) => resolve(String(error)));
      asking.end();
    });
    await begun;
    return { port, url, answer, said };
  }

  it('answers what is under way, takes nothing more, and keeps no connection', async () => {
    const { port, url, answer, said } = await underWay();
    const closed = port.close(new Promise(() => {}));
    await assert.rejects(fetch(url));
    answer();
    assert.equal(await said, 'done');
    const began = performance.now();
    await closed;
    // The client would have kept it, and a server keeps what is idle for 5 s.
    assert.ok(performance.now() - began < 4_000);
  });

  it('cuts off what takes longer than its patience', async () => {
    const { port, said } = await underWay();
    await port.close(Promise.resolve());
    assert.match(await said, /socket hang up|ECONNRESET/);
  });

  it('has none where nobody says so', async () => {
    const { port, said } = await underWay();
    await port.close();
    assert.match(await said, /socket hang up|ECONNRESET/);
  });
});
