import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { kvFindings } from '#core/stores/open.ts';
import { put } from '#test/contract/kv-suite.ts';
import { until } from '#test/until.ts';
import { fakeEtcd } from './fake-etcd.ts';
import { clusterForFile, connect, describeEach, untroubledClock } from './servers.ts';

const findings = (endpoints: string, clock = untroubledClock()) =>
  kvFindings(`etcd://${endpoints}`, clock, systemIds());

async function codes(endpoints: string): Promise<string[]> {
  const found = await findings(endpoints);
  // Which version is tried decides on this one.
  return found.filter(({ code }) => code !== 'etcd_roles').map(({ code, level }) => `${code} ${level}`);
}

await describeEach('Findings of', async (programs) => {
  const three = await clusterForFile({ programs, members: 3 });

  it('are none of a good one, but that an old one lets roles pass inside nested transactions', async () => {
    const found = await findings(three.endpoints);
    const old = programs.version.startsWith('3.4.');
    assert.deepEqual(
      found.map(({ code, level }) => `${code} ${level}`),
      old ? Array.from({ length: 3 }, () => 'etcd_roles warning') : [],
    );
    for (const [at, { message }] of found.entries()) {
      assert.ok(message.includes(three.members[at]?.endpoint ?? '?'), message);
      assert.match(message, /is version 3\.4\.\d+, which checks no permission .*: upgrade it to 3\.5\.28/);
    }
  });

  it('name the member that is away, or is no etcd, and what to do', async () => {
    const [first] = three.members;
    assert.ok(first);
    assert.deepEqual(await codes(`127.0.0.1:1,${three.endpoints}`), ['etcd_away warning']);
    assert.deepEqual(await codes('127.0.0.1:1'), ['etcd_away error']);
    const metrics = first.metrics.replace('http://', '');
    const [refused] = await findings(metrics);
    assert.deepEqual([refused?.code, refused?.level], ['etcd_refused', 'error']);
    assert.ok(refused?.message.includes(metrics), refused?.message);
    assert.match(refused?.message ?? '', /expected etcd's port .*: correct the URL of --kv/);
    assert.deepEqual(await codes('a b'), ['store_url_invalid error']);
  });

  it('tell members of two clusters from those of one', async () => {
    const other = await clusterForFile({ programs });
    const found = await codes(`${three.endpoints},${other.endpoints}`);
    assert.deepEqual(found, ['etcd_clusters error']);
  });

  it('tell a member without a leader', async () => {
    const [kept, ...paused] = three.members;
    assert.ok(kept);
    for (const member of paused) member.pause();
    try {
      // It notices when an election has timed out.
      await until(
        'it to be without a leader',
        () => codes(kept.endpoint),
        (codes) => codes.includes('etcd_leader error'),
      );
    } finally {
      for (const member of paused) member.resume();
    }
  });

  it('tell that it is out of space, as does whoever wants to write; reads go on', async () => {
    const full = await clusterForFile({ programs, flags: ['--quota-backend-bytes=1000000'] });
    const kv = connect(full.endpoints);
    const fill = async () => {
      for (let n = 0; ; n++) await kv.txn({ compare: [], then: [put(`k${n}`, 'x'.repeat(100_000))] });
    };
    await assert.rejects(fill(), {
      code: 'full',
      message: /database space exceeded; it takes no writes until/,
    });
    assert.equal((await kv.range({ key: 'k0' })).count, 1);
    await kv.close();
    assert.deepEqual(await codes(full.endpoints), ['etcd_nospace error']);
  });

  it('tell that nothing compacts it, once its history is long', async () => {
    const one = await clusterForFile({ programs });
    const kv = connect(one.endpoints);
    let revision = '0';
    const lane = async () => {
      for (let n = 0; n < 100; n++) revision = (await kv.txn({ compare: [], then: [put('k')] })).revision;
    };
    await Promise.all(Array.from({ length: 101 }, lane));
    assert.deepEqual(await codes(one.endpoints), ['etcd_compaction warning']);
    await kv.compact(revision);
    assert.deepEqual(await codes(one.endpoints), []);
    await kv.close();
  });

  it('tell two clocks that are apart', async () => {
    const clock = untroubledClock();
    const ahead = { ...clock, now: () => clock.now() + 10_000 };
    const found = (await findings(three.endpoints, ahead)).filter(({ code }) => code === 'etcd_clock');
    assert.equal(found.length, 3);
    assert.match(found[0]?.message ?? '', /are (9|10|11) s apart/);
  });

  it('take no slow answer for a clock that is apart', async () => {
    const clock = untroubledClock();
    let aheadMs = 0;
    let looks = 0;
    const slow = {
      ...clock,
      now: () => clock.now() + aheadMs,
      // The second look is right before each is asked what time it is; when the answers are there that was long ago.
      boot() {
        looks++;
        if (looks === 2)
          setImmediate(() => {
            aheadMs = 10_000;
          });
        return clock.boot();
      },
    };
    const found = await findings(three.endpoints, slow);
    assert.equal(looks, 2);
    assert.deepEqual(
      found.filter(({ code }) => code === 'etcd_clock'),
      [],
    );
  });
});

describe('Findings of an etcd that is too old', () => {
  it('name the member, its version and what was expected', async () => {
    const old = await fakeEtcd({ version: '3.3.27' });
    const found = (await findings(old.endpoint)).filter(({ level }) => level === 'error');
    assert.deepEqual(
      found.map(({ code, message }) => `${code}: ${message}`),
      [
        `etcd_version: etcd at ${old.endpoint} is version 3.3.27; expected 3.4 or later: upgrade it, one minor version at a time`,
      ],
    );
    old.close();
  });
});

describe('Findings of an etcd that takes its time', () => {
  for (const [what, delays, expected] of [
    ['say so', [0, 300], true],
    ['are none of one that is slow to be reached, and then is not', [300], false],
  ] as const)
    it(what, async () => {
      let passed = 0;
      const slow = await fakeEtcd({ version: '3.7.3' }, (nth) => {
        passed += delays[nth] ?? 0;
      });
      const found = await findings(slow.endpoint, { ...systemClock(), boot: () => passed });
      slow.close();
      assert.equal(
        found.some(({ code }) => code === 'etcd_slow'),
        expected,
      );
    });
});
