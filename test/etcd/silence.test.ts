import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { credentials, Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { Host } from 'etcd3/lib/connection-pool.js';
import type { Clock } from '#core/ports/clock.ts';
import { EtcdKv } from '#core/stores/kv/etcd/etcd-kv.ts';
import { readEtcdUrl } from '#core/stores/kv/etcd/options.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { until } from '#test/until.ts';

/** Between two streams, by the chance given here. */
const pauseMs = 50;

interface WatchCall {
  on(event: 'data', fn: (request: { create_request?: object; progress_request?: object }) => void): void;
  on(event: 'cancelled', fn: () => void): void;
  write(answer: object): void;
}

describe('A follower of a server that answers pings and tells nothing', () => {
  it('asks it for a sign of life, and leaves it after 30 s without one', async () => {
    const client = new Host('127.0.0.1:1', credentials.createInsecure());
    const serviceOf = (name: 'KV' | 'Watch') =>
      (client.getServiceClient(name).constructor as unknown as { service: ServiceDefinition }).service;
    const headerAt = (revision: number) => ({ cluster_id: '1', revision: String(revision) });
    const streams: { asked: number; left: boolean }[] = [];
    const time = new VirtualClock();
    const clock: Clock = {
      boot: () => time.boot(),
      after: (ms, fn) => time.after(ms, fn),
      // gRPC has deadlines by the wall clock, which nobody moves by hand: far enough for none to come.
      now: () => Date.now() + 3_600_000,
    };
    const server = new Server();
    server.addService(serviceOf('KV'), {
      range: (_: unknown, answer: (error: null, value: object) => void) =>
        answer(null, { header: headerAt(7), kvs: [], count: '0' }),
    });
    server.addService(serviceOf('Watch'), {
      watch(call: WatchCall) {
        const stream = { asked: 0, left: false };
        streams.push(stream);
        call.on('cancelled', () => {
          stream.left = true;
        });
        call.on('data', ({ create_request, progress_request }) => {
          if (create_request) {
            const header = headerAt(7 + streams.length);
            call.write({ header, created: true });
            // Its last word, which the follower passes on: from then on it hears nothing.
            const kv = { key: Buffer.from('k/'), mod_revision: header.revision, version: '1' };
            call.write({ header, events: [{ type: 'Put', kv }] });
          }
          if (progress_request) stream.asked++;
        });
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
    const kv = new EtcdKv(readEtcdUrl(`etcd://127.0.0.1:${port}`), { clock, chance: () => 0.5 });
    after(async () => {
      await kv.close();
      client.close();
      server.forceShutdown();
    });
    const stop = new AbortController();
    const told: string[] = [];
    const following = kv.follow('k/', stop.signal, ({ type, revision }) => told.push(`${type} ${revision}`));
    const stream = () => streams.at(-1);
    for (const nth of [1, 2, 3]) {
      await until(
        `the word of stream ${nth}`,
        () => told,
        (all) => all.length === 1 + nth,
      );
      for (const times of [1, 2]) {
        await time.advance(10_000);
        await until('a question', stream, (one) => one?.asked === times);
      }
      await time.advance(9_999);
      assert.equal(stream()?.left, false, 'before 30 s');
      await time.advance(1);
      await until('its leaving', stream, (one) => one?.left === true);
      if (nth < 3) await time.advance(pauseMs);
    }
    stop.abort();
    await following;
    assert.deepEqual(told, ['list 7', 'changes 8', 'changes 9', 'changes 10']);
  });
});
