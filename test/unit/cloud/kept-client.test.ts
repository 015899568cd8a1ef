import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Event } from '#core/ports/events.ts';
import { KvError } from '#core/ports/kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { clockSkew } from '#functions/cloud/clock-skew.ts';
import { keptClient } from '#functions/cloud/kept-client.ts';
import { unaryKv } from '#functions/cloud/unary.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

interface Fake {
  url: string;
  closed: boolean;
  close(): Promise<void>;
}

let clock: VirtualClock;
let opened: Fake[];
let told: Event[];
let wanted: string;
let later: string;
let fails: boolean;
let use: <R>(work: (client: Fake) => Promise<R>, how?: { repeatable?: boolean }) => Promise<R>;

beforeEach(() => {
  clock = new VirtualClock();
  opened = [];
  told = [];
  wanted = 'a';
  later = 'a';
  fails = false;
  const events = eventBus();
  events.on((event) => told.push(event));
  use = keptClient<Fake>({
    ...{ store: 'kv', clock, events },
    url: async () => wanted,
    urlAgain: async () => later,
    async open(url) {
      if (fails) throw new Error('away');
      const client = {
        url,
        closed: false,
        async close() {
          client.closed = true;
        },
      };
      opened.push(client);
      return client;
    },
  });
});

const url = async (client: Fake) => {
  assert.equal(client.closed, false);
  return client.url;
};
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('a client of a store in a function', () => {
  it('is opened when first used, once for all at once, and kept while it is in use', async () => {
    assert.equal(opened.length, 0);
    await Promise.all([use(url), use(url)]);
    await clock.advance(59_000);
    await use(url);
    await clock.advance(59_000);
    await use(url);
    assert.equal(opened.length, 1);
  });

  it('is another one after it stood idle for over a minute, by the wall clock alone, too', async () => {
    await use(url);
    await clock.advance(61_000);
    await use(url);
    clock.step(61_000);
    await use(url);
    await settle();
    assert.deepEqual(
      opened.map(({ closed }) => closed),
      [true, true, false],
    );
    assert.deepEqual(told[0], { type: 'store.rebuilt', store: 'kv', why: 'idle' });
  });

  it('is another one where its URL has changed; who still uses the old one may end', async () => {
    let end = () => {};
    const long = use(async (client) => {
      await new Promise<void>((resolve) => {
        end = resolve;
      });
      return client.closed;
    });
    await settle();
    wanted = 'b';
    assert.equal(await use(url), 'b');
    assert.equal(opened[0]?.closed, false);
    end();
    assert.equal(await long, false);
    await settle();
    assert.deepEqual(
      opened.map(({ closed }) => closed),
      [true, false],
    );
  });

  it('whose credential is refused is asked once more with what is set by now', async () => {
    for (const refusal of [
      new KvError('forbidden', 'no'),
      Object.assign(new Error('bad auth'), { code: 18 }),
      new Error('outer', { cause: Object.assign(new Error('bad auth'), { code: 8000 }) }),
    ]) {
      wanted = 'a';
      later = 'b';
      let asked = 0;
      const answer = await use(async (client) => {
        asked += 1;
        if (client.url === 'a') throw refusal;
        return client.url;
      });
      assert.deepEqual([answer, asked], ['b', 2]);
    }
  });

  it('whose credential is refused while nothing else is set says so; any other error is asked for once', async () => {
    let asked = 0;
    const failing = (error: Error) =>
      use(async () => {
        asked += 1;
        throw error;
      });
    await assert.rejects(failing(new KvError('forbidden', 'no')), /no/);
    later = 'b';
    await assert.rejects(failing(new KvError('unknown', 'perhaps')), /perhaps/);
    assert.equal(asked, 2);
  });

  it('whose connection has gone while nobody used it is replaced, and what was surely not done, or changes nothing, is asked again', async () => {
    const failing = async (code: 'unavailable' | 'unknown', repeatable: boolean) => {
      await use(url);
      await clock.advance(5_000);
      const old = opened.length;
      let asked = 0;
      const work = async (client: Fake) => {
        asked += 1;
        if (client === opened[old - 1]) throw new KvError(code, 'cut');
        return client.url;
      };
      const answer = await use(work, { repeatable }).catch((error: Error) => error.message);
      return [answer, asked];
    };
    assert.deepEqual(await failing('unavailable', false), ['a', 2]);
    assert.deepEqual(await failing('unknown', true), ['a', 2]);
    assert.deepEqual(await failing('unknown', false), ['cut', 1]);
    assert.ok(told.some((event) => event.type === 'store.rebuilt' && event.why === 'cut'));
  });

  it('that is in use is not replaced for being away', async () => {
    await use(url);
    let asked = 0;
    const away = async () => {
      asked += 1;
      throw new KvError('unavailable', 'away');
    };
    await assert.rejects(use(away, { repeatable: true }), /away/);
    assert.deepEqual([asked, opened.length], [1, 1]);
  });

  it('that could not be opened is tried anew by the next request', async () => {
    fails = true;
    await assert.rejects(use(url), /away/);
    fails = false;
    assert.equal(await use(url), 'a');
  });
});

it('a function takes no lease and watches nothing', async () => {
  const store = memoryKv({ clock });
  const kv = unaryKv((work) => work(store));
  await kv.txn({ compare: [], then: [{ type: 'put', key: 'a', value: '1' }] });
  assert.equal((await kv.range({ key: 'a' })).entries[0]?.value, '1');
  for (const call of [
    () => kv.grant(1),
    () => kv.renew('1'),
    () => kv.revoke('1'),
    () => kv.follow('', new AbortController().signal, () => {}),
  ])
    await assert.rejects(call(), /unary calls only/);
  await store.close();
});

describe("the offset of a function's clock", () => {
  it('is unknown until it was measured, is measured without the time that connecting takes, and not by every write', async () => {
    let [asked, offsetMs, away] = [0, -700, false];
    const history = {
      async now() {
        asked += 1;
        if (away) throw new Error('away');
        // What connecting takes.
        if (asked === 1) clock.step(3_000);
        return clock.now() + offsetMs;
      },
    };
    const skew = clockSkew({ history, clock });
    assert.equal(skew.ms(), null);
    await skew.measure();
    assert.equal(skew.ms(), 700);
    await skew.measure();
    assert.equal(asked, 2);
    await clock.advance(601_000);
    away = true;
    await skew.measure();
    assert.equal(skew.ms(), 700);
    away = false;
    offsetMs = 0;
    await skew.measure();
    assert.equal(skew.ms(), 0);
  });
});
