import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applyJobs } from '#core/cluster/apply.ts';
import { checkJob } from '#core/cluster/check-job.ts';
import { claimInstant } from '#core/cluster/claim.ts';
import type { JobStore } from '#core/cluster/job-record.ts';
import { deleteJob, getJob, saveJob } from '#core/cluster/jobs.ts';
import { layout as layoutOf, oneLane } from '#core/cluster/keys.ts';
import { instantText } from '#core/model/ids.ts';
import type { JobInput } from '#core/model/job.ts';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import { effort } from '#test/effort.ts';
import type { MadeKv } from './kv-suite.ts';

const t0 = Date.UTC(2026, 10, 22, 16, 35);
const minute = 60_000;
const layout = layoutOf();
const id = 'default/a';
const job = (more: Partial<JobInput> = {}) =>
  checkJob({ name: 'a', command: 'true', schedule: '* * * * *', ...more });

/** What the end of a version promises beside its deciders, on a store on which both really are at once. */
export function settleSuite(name: string, make: () => MadeKv | Promise<MadeKv>): void {
  describe(`The end of a version ${name}`, () => {
    const ends: [string, (store: JobStore) => Promise<unknown>][] = [
      ['an edit', (store) => save(store, { schedule: '*/7 * * * *' })],
      ['to disable', (store) => save(store, { enabled: false })],
      ['a delete', (store) => deleteJob(store, id, {})],
      [
        'to disable and then to delete',
        async (store) => {
          await save(store, { enabled: false });
          await deleteJob(store, id, {});
        },
      ],
    ];
    for (const [what, end] of ends)
      it(`${what}: an instant that is claimed in that moment runs, or is skipped, and never both or none`, async () => {
        const made = await make();
        const { kv } = made;
        const seen = { claimed: 0, settled: 0 };
        const rounds = effort(18, 63);
        for (let round = 1; round <= rounds; round += 1) {
          // Each round an instant of its own: a cursor is never lowered.
          const instant = t0 + round * 10 * minute;
          await save({ kv, layout, now: () => instant - minute });
          const before = await getJob({ kv, layout, now: () => instant }, id);
          const cursorMod = (await kv.range({ key: layout.cursor(id, oneLane) })).entries[0]?.mod ?? '0';
          const run = `default~a~${instantText(instant)}~1`;
          const claim = claimInstant(
            layout,
            { job: id, lane: oneLane, cursorMod, jobMod: before?.mod ?? '0' },
            {
              ...{ run, overlaps: false, owed: [], cursor: { instant, from: 'w1', why: 'run', run } },
              running: {
                ...{ worker: 'w1', incarnation: '1', state: 'claimed', instant, attempt: 1, losses: 0 },
                ...{ covers: null, notBefore: instant, at: instant, trigger: 'schedule', order: null },
                ...{ by: null, env: {} },
              },
            },
          );
          // It comes in before one of the requests of whoever ends the version (reads, and the write), beside it, or when that is done.
          const order = orders[round % orders.length] ?? 'after';
          let claiming: Promise<unknown> | null = null;
          const send = () => (claiming ??= kv.txn(claim.txn));
          const meddled = meddle(kv, Math.floor(round / orders.length) % 3, async () => {
            if (order === 'before') await send();
            else if (order === 'beside') void send();
          });
          await end({ kv: meddled, layout, now: () => instant + 1_000 });
          await send();
          const claimed = (await kv.range({ key: layout.run(id, oneLane, run) })).count;
          const owed = (await kv.range(prefixRange(layout.owed))).entries.map(({ key }) => key);
          assert.deepEqual([claimed, owed], claimed === 1 ? [1, []] : [0, [layout.owing(run)]]);
          seen[claimed === 1 ? 'claimed' : 'settled'] += 1;
          if ((await getJob({ kv, layout, now: () => instant }, id)) === null) {
            // Whoever makes the job anew, by whatever clock, finds that it is decided.
            const [cursor] = (await kv.range({ key: layout.cursor(id, oneLane) })).entries;
            assert.equal(JSON.parse(cursor?.value ?? '{}').instant >= instant, true);
          }
          await kv.txn({
            compare: [],
            then: [layout.running, layout.owed, layout.jobs].map((prefix) => ({
              ...{ type: 'delete' as const },
              ...prefixRange(prefix),
            })),
          });
        }
        await kv.close();
        await made.clean();
        assert.ok(seen.claimed > 0 && seen.settled > 0, JSON.stringify(seen));
      });

    it('a hundred changes that all have much to settle are one transaction', async () => {
      const made = await make();
      const { kv } = made;
      let now = t0;
      const store: JobStore = { kv, layout, now: () => now };
      const jobs = (schedule: string) =>
        Array.from({ length: 100 }, (_, n) => job({ name: `j${n}`, schedule }));
      const how = { by: 'me', dryRun: false, prune: null };
      await applyJobs(store, jobs('* * * * *'), how);
      for (let n = 0; n < 100; n += 1) {
        const known = await getJob(store, `default/j${n}`);
        const record = { ...known?.record, skips: [1, 3, 5, 7, 9, 11, 13, 15].map((at) => t0 + at * minute) };
        const put = { type: 'put' as const, key: layout.job(`default/j${n}`), value: JSON.stringify(record) };
        await kv.txn({ compare: [], then: [put] });
      }
      now += 16.5 * minute;
      await applyJobs(store, jobs('*/5 * * * *'), how);
      const { entries } = await kv.range(prefixRange(layout.jobs));
      assert.equal(new Set(entries.map(({ mod }) => mod)).size, 1);
      assert.equal((await kv.range(prefixRange(layout.owed), { countOnly: true })).count, 1_600);
      await kv.close();
      await made.clean();
    });
  });
}

const orders = ['before', 'beside', 'after'] as const;

/** The same store, which does something before it passes the request on that comes after so many others. */
function meddle(kv: Kv, others: number, what: () => Promise<void>): Kv {
  let requests = 0;
  return new Proxy(kv, {
    get(of, name) {
      const member: unknown = Reflect.get(of, name, of);
      if (typeof member !== 'function') return member;
      return async (...given: unknown[]) => {
        requests += 1;
        if (requests === others + 1) await what();
        return await member.apply(of, given);
      };
    },
  });
}

function save(store: JobStore, more: Partial<JobInput> = {}): Promise<unknown> {
  return saveJob(store, job(more), { by: 'me', condition: {}, cronExpr: null });
}
