import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';
import { systemClock } from '#core/ports/system-clock.ts';
import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { chunk, run } from '#test/contract/history-suite.ts';
import { within } from '#test/until.ts';
import { mongoForTests } from './server.ts';

/** A line to a server that lets a command through, and from then on nothing either way. */
async function cutBehind(target: string, command: string) {
  const { hostname, port } = new URL(target);
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  let cut = false;
  const sockets: Socket[] = [];
  const listener = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    sockets.push(client, upstream);
    for (const socket of [client, upstream]) socket.on('error', () => {});
    client.on('data', (data) => {
      if (cut) return;
      upstream.write(data);
      if (!data.includes(`\x02${command}\0`, 0, 'latin1')) return;
      cut = true;
      resolve();
    });
    upstream.on('data', (data) => void (cut || client.write(data)));
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    endpoint: `127.0.0.1:${(listener.address() as AddressInfo).port}`,
    reached,
    async close() {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}

const server = await mongoForTests();
const { url, name } = server.database();
const writers = Array.from({ length: 4 }, () => mongoHistory({ url, clock: systemClock() }));
after(() => Promise.all(writers.map((each) => each.close())));

describe('Several writers of one history', () => {
  it('make its layout at once, and only once', async () => {
    await Promise.all(writers.map((each, at) => each.saveRuns([run(at)])));
    assert.equal((await writers[0]?.runs({ limit: 9 }))?.items.length, writers.length);
    const { length } = await server.client.db(name).collection('runs').indexes();
    assert.equal(length, 9);
  });

  it('agree on the first end of each run, whoever comes with which', async () => {
    const runs = Array.from({ length: 10 }, (_, at) => run(100 + at));
    await writers[0]?.saveRuns(runs);
    const ends = writers.map((_, by) =>
      runs.map((each) => ({ ...each, state: 'failed' as const, exitCode: by })),
    );
    await Promise.all(writers.map((each, by) => each.saveRuns(ends[by] ?? [])));
    const firsts = await Promise.all(runs.map(({ id }) => writers[1]?.run(id)));
    for (const first of firsts) {
      assert.equal(first?.state, 'failed');
      assert.notEqual(first.also?.exitCode, undefined, 'a later end is not beside the first');
      assert.notEqual(first.also?.exitCode, first.exitCode);
    }
    // And whatever comes again leaves each first where it is.
    await Promise.all(writers.map((each, by) => each.saveRuns([...(ends[by] ?? []), ...runs])));
    const later = await Promise.all(runs.map(({ id }) => writers[2]?.run(id)));
    assert.deepEqual(
      later.map((each) => each?.exitCode),
      firsts.map((each) => each?.exitCode),
    );
  });

  it('are not held up by one that was cut off in the middle', async () => {
    const open = run(200);
    await writers[0]?.saveRuns([open]);
    const line = await cutBehind(server.url, 'update');
    const { pathname } = new URL(url);
    const cut = mongoHistory({
      url: `mongodb://${line.endpoint}${pathname}?directConnection=true`,
      clock: systemClock(),
    });
    const ended = { ...open, state: 'succeeded' as const, exitCode: 0, endedAt: open.instant };
    const saving = assert.rejects(cut.saveRuns([ended]));
    await within('the update to pass', line.reached, () => 'nothing');
    await within('another writer', writers[1]?.saveRuns([ended]) ?? assert.fail(), () => 'no answer');
    assert.equal((await writers[2]?.run(open.id))?.also, null);
    await line.close();
    await saving;
    await cut.close();
  });

  it('store a piece of output once', async () => {
    const pieces = Array.from({ length: 20 }, (_, seq) => chunk('r', seq, seq, 'x'));
    await Promise.all(writers.map((each) => each.saveLogs(pieces)));
    assert.equal(await server.client.db(name).collection('logs').countDocuments(), 20);
  });
});
