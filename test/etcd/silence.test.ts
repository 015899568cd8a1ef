import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { credentials, Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { Host } from 'etcd3/lib/connection-pool.js';
import type { Clock } from '#core/ports/clock.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { EtcdKv } from '#core/stores/kv/etcd/etcd-kv.ts';
import { readEtcdUrl } from '#core/stores/kv/etcd/options.ts';

const times = 500;

/** Boot time runs so many times as fast; a deadline is by the wall clock, which does not. */
function fastClock(): Clock {
  const real = systemClock();
  return {
    now: () => real.now(),
    boot: () => real.boot() * times,
    after: (ms, fn) => real.after(ms / times, fn),
  };
}

interface WatchCall {
  on(event: 'data', fn: (request: { create_request?: object; progress_request?: object }) => void): void;
  write(answer: object): void;
}

describe('A follower of a server that answers pings and tells nothing', () => {
  it('asks it for a sign of life, and leaves it after 30 s without one', async () => {
    const client = new Host('127.0.0.1:1', credentials.createInsecure());
    const serviceOf = (name: 'KV' | 'Watch') =>
      (client.getServiceClient(name).constructor as unknown as { service: ServiceDefinition }).service;
    const header = { cluster_id: '1', revision: '7' };
    const streams: { beganMs: number; asked: number }[] = [];
    const clock = fastClock();
    const thrice = Promise.withResolvers<void>();
    const server = new Server();
    server.addService(serviceOf('KV'), {
      range: (_: unknown, answer: (error: null, value: object) => void) =>
        answer(null, { header, kvs: [], count: '0' }),
    });
    server.addService(serviceOf('Watch'), {
      watch(call: WatchCall) {
        const stream = { beganMs: clock.boot(), asked: 0 };
        streams.push(stream);
        if (streams.length === 3) thrice.resolve();
        call.on('data', ({ create_request, progress_request }) => {
          if (create_request) call.write({ header, created: true });
          if (progress_request) stream.asked++;
        });
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
    const kv = new EtcdKv(readEtcdUrl(`etcd://127.0.0.1:${port}`), { clock, chance: Math.random });
    const stop = new AbortController();
    const lists: string[] = [];
    const following = kv.follow('k/', stop.signal, ({ type, revision }) => lists.push(`${type} ${revision}`));
    await thrice.promise;
    stop.abort();
    await following;
    assert.deepEqual(lists, ['list 7']);
    const [first, second] = streams;
    assert.ok(first && second);
    assert.ok(second.beganMs - first.beganMs >= 30_000, `after ${second.beganMs - first.beganMs} ms`);
    assert.ok(first.asked >= 2, `asked ${first.asked} times`);
    await kv.close();
    client.close();
    server.forceShutdown();
  });
});
