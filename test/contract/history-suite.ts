import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Alert, newAlert } from '#core/model/alert.ts';
import { instantText } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import type { History, LogChunk, RunQuery } from '#core/ports/history.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

export interface MadeHistory {
  history: History;
  clean(): void | Promise<void>;
}

/** Where a store that others write too, with a clock of its own, may differ. */
export interface HistoryTraits {
  /** Whether what has expired goes by itself, some time after. */
  forgetsByItself: boolean;
  /** Whether reference time is a server's, and not that of the clock it was opened with. */
  hasOwnTime: boolean;
  /** After this, who waits for a log looks again. */
  looksEveryMs: number;
}

export const minuteMs = 60_000;
/** Long to come: a server that forgets by its own clock must not forget what a test has just saved. */
export const t0 = Date.UTC(2126, 10, 22, 12);

/** The run of an instant `at` minutes after t0. */
export function run(at: number, more: Partial<Run> = {}): Run {
  const instant = t0 + at * minuteMs;
  const { group = 'default', name = 'job', attempt = 1 } = more;
  return blankRun({
    id: `${group}~${name}~${instantText(instant)}~${attempt}`,
    ...{ group, name, attempt, state: 'running', instant, plannedAt: instant, startedAt: instant + 3 },
    ...more,
  });
}

/** An alert `at` ms after t0, whose delivery is due then. */
export function alert(id: string, at: number, more: Partial<Alert> = {}): Alert {
  return newAlert({
    ...{ id, kind: 'failed', about: 'g/a', job: 'g/a', at: t0 + at, title: id, to: ['mail'] },
    ...more,
  });
}

export function chunk(
  of: string,
  seq: number,
  offset: number,
  text: string,
  more: Partial<LogChunk> = {},
): LogChunk {
  return { run: of, seq, offset, data: Buffer.from(text), at: t0 + seq, expireAt: t0 + 86_400_000, ...more };
}

const minutes = (runs: readonly Run[]) => runs.map(({ instant }) => ((instant ?? 0) - t0) / minuteMs);
const textOf = (data: Uint8Array) => Buffer.from(data).toString();
const never = new AbortController().signal;

/** Every page of a list, one after the other. */
async function allPages(history: History, query: Omit<RunQuery, 'cursor'>): Promise<Run[]> {
  const found: Run[] = [];
  for (let cursor: string | null = null; ; ) {
    const page = await history.runs({ ...query, ...(cursor !== null && { cursor }) });
    found.push(...page.items);
    assert.ok(page.items.length <= query.limit);
    if (page.next === null) return found;
    cursor = page.next;
  }
}

/** What every History promises. */
export function historySuite(
  name: string,
  make: (clock: VirtualClock) => MadeHistory,
  { forgetsByItself, hasOwnTime, looksEveryMs }: HistoryTraits,
): void {
  const promise = (what: string, test: (history: History, clock: VirtualClock) => Promise<void>) =>
    it(what, async () => {
      const clock = new VirtualClock({ now: t0 });
      const { history, clean } = make(clock);
      try {
        await test(history, clock);
      } finally {
        await history.close();
        await clean();
      }
      assert.equal(clock.pending, 0, 'a closed history has left a timer behind');
    });

  describe(`History ${name}: records`, () => {
    promise('gives back what was saved, and null for what was not', async (history) => {
      const record = run(1, {
        kill: { by: 'a', requestedAt: 1, signalledAt: null, confirmedAt: null, certain: null },
        tail: '€\0\n',
      });
      await history.saveRuns([record]);
      assert.deepEqual(await history.run(record.id), record);
      assert.equal(await history.run('none'), null);
    });
    promise('lets a run go on, but not back once it has ended', async (history) => {
      const states = ['waiting', 'claimed', 'running', 'succeeded'] as const;
      for (const state of states) {
        await history.saveRuns([run(1, { state })]);
        assert.equal((await history.run(run(1).id))?.state, state);
      }
      for (const state of ['waiting', 'running'] as const) await history.saveRuns([run(1, { state })]);
      const kept = await history.run(run(1).id);
      assert.deepEqual([kept?.state, kept?.also], ['succeeded', null]);
    });
    promise('keeps the first terminal record, and what differs in a later one beside it', async (history) => {
      const lost = run(1, { state: 'lost', endedAt: t0, reason: 'worker dead' });
      await history.saveRuns([run(1), lost]);
      await history.saveRuns([run(1, { state: 'succeeded', exitCode: 0, endedAt: t0 + 9 })]);
      const kept = await history.run(lost.id);
      assert.deepEqual({ ...kept, also: null }, lost);
      const { state, exitCode, endedAt } = kept?.also ?? {};
      assert.deepEqual([state, exitCode, endedAt], ['succeeded', 0, t0 + 9]);
    });
    promise('takes an end that its worker tells again after a restart for what it is', async (history) => {
      const end = run(1, {
        state: 'failed',
        exitCode: 3,
        endedAt: t0 + 9,
        incarnation: '7',
        startedAt: t0 + 2,
      });
      await history.saveRuns([end]);
      await history.saveRuns([{ ...end, incarnation: '8', startedAt: t0 }]);
      assert.deepEqual(await history.run(end.id), end);
      await history.saveRuns([{ ...end, incarnation: '9', exitCode: 4 }]);
      assert.equal((await history.run(end.id))?.also?.exitCode, 4);
    });
    promise('is not changed by a record that comes again, first or later', async (history) => {
      const [first, second] = [
        run(1, { state: 'lost', endedAt: t0 }),
        run(1, { state: 'failed', exitCode: 3 }),
      ];
      await history.saveRuns([first, first]);
      await history.saveRuns([first]);
      assert.deepEqual(await history.run(first.id), first);
      await history.saveRuns([second]);
      const both = await history.run(first.id);
      for (const again of [first, second, run(1)]) await history.saveRuns([again]);
      assert.deepEqual(await history.run(first.id), both);
    });
    promise('moves a run in its lists as it changes', async (history) => {
      const count = async (query: Partial<RunQuery>) =>
        (await history.runs({ limit: 10, ...query })).items.length;
      await history.saveRuns([run(1, { state: 'waiting', worker: null })]);
      await history.saveRuns([run(1, { worker: 'w' })]);
      assert.deepEqual(
        [await count({ state: 'waiting' }), await count({ state: 'running', worker: 'w' })],
        [0, 1],
      );
      await history.saveRuns([run(1, { worker: 'w', state: 'failed' })]);
      assert.deepEqual([await count({ state: 'running' }), await count({ state: 'failed' })], [0, 1]);
    });
  });

  describe(`History ${name}: lists`, () => {
    promise('are newest first, by when it was due, the last attempt before the first', async (history) => {
      const manual = run(0, {
        id: 'default~job~o1~1',
        instant: null,
        plannedAt: t0 + 2.5 * minuteMs,
        trigger: 'manual',
      });
      await history.saveRuns([run(3), run(1), run(2, { attempt: 2 }), manual, run(2)]);
      const ids = (await history.runs({ limit: 10 })).items.map(({ id }) => id);
      assert.deepEqual(ids, [run(3).id, manual.id, run(2, { attempt: 2 }).id, run(2).id, run(1).id]);
    });
    promise('have a run where it is due, also when that is known later only', async (history) => {
      const manual = run(0, {
        id: 'default~job~o1~1',
        instant: null,
        plannedAt: null,
        startedAt: null,
        trigger: 'manual',
      });
      await history.saveRuns([{ ...manual, state: 'waiting' }, run(1)]);
      await history.saveRuns([{ ...manual, startedAt: t0 + 2 * minuteMs }]);
      const ids = (await history.runs({ limit: 10 })).items.map(({ id }) => id);
      assert.deepEqual(ids, [manual.id, run(1).id]);
    });
    promise(
      'come page by page, complete and without double, while runs are added and end',
      async (history) => {
        await history.saveRuns(Array.from({ length: 7 }, (_, at) => run(at)));
        const first = await history.runs({ limit: 3 });
        await history.saveRuns([
          run(99),
          run(5.5),
          run(4, { state: 'succeeded' }),
          run(2, { state: 'failed' }),
        ]);
        const second = await history.runs({ limit: 3, cursor: first.next ?? '' });
        const third = await history.runs({ limit: 3, cursor: second.next ?? '' });
        assert.deepEqual(
          [first, second, third].map(({ items }) => minutes(items)),
          [[6, 5, 4], [3, 2, 1], [0]],
        );
        assert.equal(third.next, null);
        assert.equal((await history.runs({ limit: 9 })).next, null, 'exactly one full page has no next one');
      },
    );
    promise('page through many runs that were due at once', async (history) => {
      const runs = Array.from({ length: 50 }, (_, at) => run(1, { name: `job${at}` }));
      await history.saveRuns(runs);
      const found = await allPages(history, { limit: 7 });
      assert.deepEqual(found.map(({ id }) => id).sort(), runs.map(({ id }) => id).sort());
    });
    promise('find by each filter alone and by all together', async (history) => {
      const runs: Run[] = [];
      const pick = <T>(values: readonly T[], at: number): T => values[at % values.length] as T;
      for (let at = 0; at < 180; at++)
        runs.push(
          run(Math.floor(at / 3), {
            group: pick(['g', 'h', 'i'], at),
            name: pick(['a', 'b'], at >> 1),
            worker: pick(['w1', 'w2', null], at >> 2),
            state: pick(['running', 'failed', 'succeeded', 'succeeded'] as const, at >> 1),
            trigger: pick(['schedule', 'schedule', 'manual', 'retry'] as const, at),
          }),
        );
      await history.saveRuns(runs);
      const filters: Partial<RunQuery>[] = [
        { group: 'g' },
        { group: 'g', name: 'a' },
        { worker: 'w1' },
        { state: 'failed' },
        { state: 'succeeded' },
        { trigger: 'manual' },
        { trigger: 'schedule' },
        { from: t0 + 10 * minuteMs },
        { to: t0 + 20 * minuteMs },
        { groups: ['h', 'i'] },
        { groups: ['h', 'h', 'none'] },
        { groups: [] },
        { groups: ['g'], group: 'g' },
        { groups: ['g'], group: 'h' },
      ];
      const matches = (query: Partial<RunQuery>) => (each: Run) => {
        const due = each.instant ?? 0;
        return (
          (query.groups?.includes(each.group) ?? true) &&
          (query.from === undefined || due >= query.from) &&
          (query.to === undefined || due < query.to) &&
          (['group', 'name', 'worker', 'state', 'trigger'] as const).every(
            (field) => query[field] === undefined || query[field] === each[field],
          )
        );
      };
      for (const one of filters)
        for (const other of filters) {
          const query = { ...one, ...other };
          const expected = runs.filter(matches(query)).map(({ id }) => id);
          const found = await allPages(history, { ...query, limit: 20 });
          assert.deepEqual(found.map(({ id }) => id).sort(), expected.sort(), JSON.stringify(query));
          const dues = found.map(({ instant }) => instant ?? 0);
          assert.deepEqual(
            dues,
            dues.toSorted((a, b) => b - a),
            JSON.stringify(query),
          );
        }
    });
    promise('refuse a cursor that is not theirs', async (history) => {
      for (const cursor of ['x', '', 'W10', Buffer.from('["a",1,2]').toString('base64url')])
        await assert.rejects(
          history.runs({ limit: 1, cursor }),
          (error) => error instanceof Refusal && error.code === 'query_invalid',
        );
    });
  });

  describe(`History ${name}: a job's runs`, () => {
    promise(
      'are found by what they cover: an instant of their own, or a stretch around it',
      async (history) => {
        const stretch = run(2, { until: t0 + 5 * minuteMs, count: 4, state: 'skipped' });
        await history.saveRuns([run(1), run(1, { attempt: 2 }), stretch, run(6), run(1, { name: 'other' })]);
        const at = async (minute: number) =>
          (await history.covering('default', 'job', t0 + minute * minuteMs)).map(({ id }) => id);
        assert.deepEqual(await at(1), [run(1, { attempt: 2 }).id, run(1).id]);
        for (const minute of [2, 3, 4.5, 5]) assert.deepEqual(await at(minute), [stretch.id], `${minute}`);
        assert.deepEqual(await at(6), [run(6).id]);
        for (const minute of [0, 1.5, 5.5, 7]) assert.deepEqual(await at(minute), [], `${minute}`);
      },
    );
    promise('have a last one: by instant, then by attempt', async (history) => {
      await history.saveRuns([run(1), run(3, { attempt: 2 }), run(3), run(2), run(9, { group: 'g' })]);
      const latest = await history.latest(['default/job', 'g/job', 'default/none']);
      assert.deepEqual(
        [...latest].map(([job, { id }]) => [job, id]),
        [
          ['default/job', run(3, { attempt: 2 }).id],
          ['g/job', run(9, { group: 'g' }).id],
        ],
      );
    });
  });

  describe(`History ${name}: logs`, () => {
    promise('come back byte for byte, in pieces of any size', async (history) => {
      const text = 'abc€def\n\0ghi';
      const data = Buffer.from(text);
      await history.saveLogs([
        chunk('r', 0, 0, '', { data: data.subarray(0, 4) }),
        chunk('r', 1, 4, '', { data: data.subarray(4) }),
      ]);
      for (let size = 1; size <= data.length; size++) {
        const parts: Uint8Array[] = [];
        for (let from = 0; ; ) {
          const piece = await history.log('r', from, size);
          assert.ok(piece.data.length <= size && piece.dropped === 0 && piece.from === from);
          if (piece.data.length === 0) break;
          parts.push(piece.data);
          from = piece.next;
        }
        assert.equal(textOf(Buffer.concat(parts)), text);
      }
    });
    promise('are stored once, whatever comes again and in whatever order', async (history) => {
      await history.saveLogs([chunk('r', 1, 4, 'tail'), chunk('r', 0, 0, 'head')]);
      await history.saveLogs([chunk('r', 1, 4, 'tail'), chunk('r', 0, 0, 'other')]);
      assert.equal(textOf((await history.log('r', 0, 100)).data), 'headtail');
    });
    promise('step over what was dropped, and count it', async (history) => {
      await history.saveLogs([chunk('r', 0, 0, 'head'), chunk('r', 1, 100, 'tail')]);
      const head = await history.log('r', 0, 1_000);
      assert.deepEqual([textOf(head.data), head.next, head.dropped], ['head', 4, 0]);
      const tail = await history.log('r', 4, 1_000);
      assert.deepEqual([textOf(tail.data), tail.next, tail.dropped], ['tail', 104, 96]);
      const inGap = await history.log('r', 50, 2);
      assert.deepEqual([textOf(inGap.data), inGap.next, inGap.dropped], ['ta', 102, 50]);
      const end = await history.log('r', 104, 1_000);
      assert.deepEqual([end.data.length, end.next, end.dropped], [0, 104, 0]);
      assert.equal((await history.log('none', 7, 10)).next, 7);
    });
    promise(
      'wake who waits for them: by output, by a record, by time, by stop, by the end',
      async (history, clock) => {
        const order: string[] = [];
        const wait = (name: string, of: string, stop = never) =>
          history.waitForLog(of, 10_000, stop).then(() => void order.push(name));
        const stop = new AbortController();
        const waits = [
          wait('output', 'a'),
          wait('record', run(1).id),
          wait('stop', 'b', stop.signal),
          wait('time', 'c'),
        ];
        await clock.settle();
        assert.deepEqual(order, []);
        await history.saveLogs([chunk('a', 0, 0, 'x')]);
        await clock.settle();
        await history.saveRuns([run(1)]);
        await clock.settle();
        stop.abort();
        await clock.advance(Math.min(10_000, looksEveryMs) - 1);
        assert.deepEqual(order, ['output', 'record', 'stop']);
        await clock.advance(1);
        await Promise.all(waits);
        await history.waitForLog('d', 10_000, stop.signal);
        const last = wait('close', 'e');
        await history.close();
        await last;
      },
    );
    promise(
      'are searched line by line, newest run first, across pieces and not across gaps',
      async (history) => {
        const [old, young] = [run(1), run(2)];
        await history.saveRuns([old, young, run(3, { name: 'other' })]);
        await history.saveLogs([
          chunk(old.id, 0, 0, 'old needle\nno\nlast nee'),
          chunk(old.id, 1, 22, 'dle'),
          chunk(young.id, 0, 0, 'one\ntwo needle\nthr'),
          chunk(young.id, 1, 18, 'ee needle\nnee'),
          chunk(young.id, 2, 99, 'dle\n'),
          chunk(run(3, { name: 'other' }).id, 0, 0, 'needle'),
        ]);
        const query = { group: 'default', name: 'job', text: 'needle', since: 0, maxBytes: 1_000, limit: 10 };
        const found = await history.search(query);
        assert.deepEqual(
          found.lines.map(({ run: of, offset, line }) => [of, offset, line]),
          [
            [young.id, 4, 'two needle'],
            [young.id, 15, 'three needle'],
            [old.id, 0, 'old needle'],
            [old.id, 14, 'last needle'],
          ],
        );
        assert.equal(found.complete, true);
        assert.deepEqual((await history.search({ ...query, since: t0 + 2 * minuteMs })).lines.length, 2);
        const few = await history.search({ ...query, limit: 1 });
        assert.deepEqual([few.lines.length, few.complete], [1, false]);
        const little = await history.search({ ...query, maxBytes: 20 });
        assert.deepEqual([little.lines.length, little.complete], [1, false]);
        assert.deepEqual(await history.search({ ...query, name: 'none' }), {
          ...{ lines: [], complete: true, next: null, reachedAt: null },
        });
      },
    );
    promise(
      'are searched on from where a search ended early, and nothing is found twice or passed over',
      async (history) => {
        const runs = [3, 2, 1].map((at) => run(at));
        await history.saveRuns(runs);
        // Lines that go over pieces, a gap before the last of them, and bytes that are not text.
        const texts = ['needle 1\nnee', 'dle 2\n\u{1f600} needle 3\n', 'needle 4\nno\nneedle 5'];
        const offsets = [0, 12, 99];
        await history.saveLogs(
          runs.flatMap(({ id }) => texts.map((text, seq) => chunk(id, seq, offsets[seq] ?? 0, text))),
        );
        const query = { group: 'default', name: 'job', text: 'needle', since: 0, maxBytes: 1_000, limit: 99 };
        const whole = await history.search(query);
        assert.equal(whole.lines.length, 15);
        for (const bounds of [{ limit: 1 }, { limit: 2 }, { limit: 4 }, { maxBytes: 60 }, { maxBytes: 75 }]) {
          const lines: typeof whole.lines = [];
          const reached: (number | null)[] = [];
          for (let cursor: string | null = ''; cursor !== null; ) {
            const from: { cursor?: string } = cursor === '' ? {} : { cursor };
            const found = await history.search({ ...query, ...bounds, ...from });
            lines.push(...found.lines);
            reached.push(found.reachedAt);
            assert.equal(found.complete, found.next === null);
            cursor = found.next;
          }
          assert.deepEqual(lines, whole.lines);
          assert.ok(reached.length > 2);
          const due = runs.map(({ instant }) => instant);
          assert.deepEqual(reached, [
            ...reached
              .slice(0, -1)
              .filter((at) => due.includes(at))
              .sort((a, b) => Number(b) - Number(a)),
            null,
          ]);
        }
        await assert.rejects(history.search({ ...query, cursor: 'x' }), { code: 'query_invalid' });
      },
    );
    promise(
      'are searched as far as lines go that have no end, and give no more than can be sent',
      async (history) => {
        const [endless, many] = [run(1, { name: 'endless' }), run(1, { name: 'many' })];
        await history.saveRuns([endless, many]);
        const pieces = ['x'.repeat(65_533), 'needle', 'ä'.repeat(50_000), 'needle\n'];
        let offset = 0;
        const chunks = pieces.map((text, seq) => {
          const piece = chunk(endless.id, seq, offset, text);
          offset += piece.data.length;
          return piece;
        });
        const long = `needle ${'y'.repeat(4_000)}\n`.repeat(16);
        for (let seq = 0; seq < 20; seq++) chunks.push(chunk(many.id, seq, seq * long.length, long));
        await history.saveLogs(chunks);
        const query = { group: 'default', text: 'needle', since: 0, maxBytes: 16_000_000, limit: 500 };
        const found = await history.search({ ...query, name: 'endless' });
        assert.deepEqual([found.lines.length, found.complete], [2, true]);
        const much = await history.search({ ...query, name: 'many' });
        assert.equal(much.complete, false);
        assert.ok(JSON.stringify(much.lines).length < 700_000);
        assert.ok(much.lines.length > 100);
      },
    );
  });

  describe(`History ${name}: sums`, () => {
    promise('count states per step, and say how long and how late', async (history) => {
      const ended = (at: number, durationMs: number, late: number, more: Partial<Run> = {}) => {
        const startedAt = t0 + at * minuteMs + late;
        return run(at, { state: 'succeeded', startedAt, endedAt: startedAt + durationMs, ...more });
      };
      await history.saveRuns([
        ...Array.from({ length: 100 }, (_, at) => ended(at / 2, (at + 1) * 10, at + 1)),
        ended(60, 500, 5, { state: 'failed' }),
        ended(60, 5_000, 100_000, { attempt: 2, trigger: 'retry' }),
        run(90, { until: t0 + 99 * minuteMs, count: 10, state: 'skipped', startedAt: null }),
        ended(61, 1, 1, { group: 'hidden' }),
      ]);
      const [first, second, third] = await history.stats({
        groups: ['default'],
        from: t0,
        to: t0 + 180 * minuteMs,
        stepMs: 60 * minuteMs,
      });
      assert.deepEqual(first, {
        ...{ at: t0, counts: { succeeded: 100 } },
        ...{ durationP50: 500, durationP99: 990, lateP50: 50, lateP99: 99 },
      });
      assert.deepEqual(second, {
        ...{ at: t0 + 60 * minuteMs, counts: { failed: 1, succeeded: 1, skipped: 10 } },
        // Only the first attempt tells how late an instant was.
        ...{ durationP50: 500, durationP99: 5_000, lateP50: 5, lateP99: 5 },
      });
      assert.deepEqual(third?.counts, {});
      assert.deepEqual([third?.durationP50, third?.lateP99], [null, null]);
      const whole = await history.stats({
        from: t0 + 60 * minuteMs,
        to: t0 + 61.5 * minuteMs,
        stepMs: minuteMs,
      });
      assert.deepEqual(
        whole.map(({ counts }) => counts),
        [{ failed: 1, succeeded: 1 }, { succeeded: 1 }],
      );
    });
  });

  describe(`History ${name}: alerts`, () => {
    const idsOf = (alerts: readonly Alert[]) => alerts.map(({ id }) => id);
    const claim = (history: History, by: string, now: number, limit = 10) =>
      history.claimAlerts({ by, now: t0 + now, until: t0 + now + minuteMs, limit });
    const settled = { due: null, tries: 1, told: [], problem: null, partOf: null };

    promise('are one for each cause, and listed newest first, page by page', async (history) => {
      const all = [
        alert('a', 1, { text: 'output €\n' }),
        alert('b', 2, { job: 'h/b', about: 'h/b' }),
        alert('c', 3, { job: null, about: 'fleet' }),
        alert('d', 4, { open: false, endedAt: t0 + 5 }),
      ];
      await history.addAlerts(all);
      await history.addAlerts([alert('a', 9, { title: 'another' }), alert('e', 5)]);
      const list = async (query: object) => await history.alerts({ limit: 10, ...query });
      assert.deepEqual(idsOf((await list({})).items), ['e', 'd', 'c', 'b', 'a']);
      assert.deepEqual((await list({})).items.slice(1), all.toReversed());
      assert.deepEqual(idsOf((await list({ groups: ['g'] })).items), ['e', 'd', 'a']);
      assert.deepEqual(idsOf((await list({ groups: ['g', 'h', 'h'], open: true })).items), ['e', 'b', 'a']);
      assert.deepEqual((await list({ groups: [] })).items, []);
      assert.deepEqual(idsOf((await list({ open: false })).items), ['d']);
      const first = await list({ limit: 2 });
      await history.addAlerts([alert('f', 9)]);
      const second = await list({ limit: 3, cursor: first.next });
      assert.deepEqual([idsOf(second.items), second.next], [['c', 'b', 'a'], null]);
    });
    promise(
      'go to one taker at a time, longest due first, and to another when that one is through or late',
      async (history) => {
        await history.addAlerts([3, 1, 2].map((at) => alert(`a${at}`, at)));
        await history.addAlerts([alert('later', 99_999), alert('nobody', 1, { due: null })]);
        assert.deepEqual(idsOf(await claim(history, 'x', 2, 1)), ['a1']);
        assert.deepEqual(await claim(history, 'y', 10), [], 'somebody else delivers');
        assert.deepEqual(idsOf(await claim(history, 'x', 10)).sort(), ['a2', 'a3']);
        assert.deepEqual(await claim(history, 'x', 11), []);
        await history.settleAlerts('x', [{ ...settled, id: 'a3' }]);
        await history.addAlerts([alert('a4', 4)]);
        assert.deepEqual(idsOf(await claim(history, 'y', 11)), ['a4']);
        assert.deepEqual(idsOf(await claim(history, 'z', 11 + minuteMs)).sort(), ['a1', 'a2', 'a4']);
      },
    );
    promise('all go to the same of many who ask at the same moment', async (history) => {
      const names = ['a', 'b', 'c', 'd', 'e', 'f'];
      for (let round = 1; round <= 5; round++) {
        await history.addAlerts(Array.from({ length: 40 }, (_, n) => alert(`r${round}-${n}`, round)));
        const got = await Promise.all(names.map((by) => claim(history, by, round, 100)));
        assert.deepEqual(
          got.map((each) => each.length).sort((a, b) => a - b),
          [0, 0, 0, 0, 0, 40],
        );
        for (const [at, taken] of got.entries())
          await history.settleAlerts(
            names[at] ?? '',
            taken.map(({ id }) => ({ ...settled, id })),
          );
      }
    });
    promise('are held up by nobody who asked when nothing was due', async (history) => {
      assert.deepEqual(await claim(history, 'x', 1), []);
      await history.addAlerts([alert('a', 1)]);
      assert.deepEqual(idsOf(await claim(history, 'y', 1)), ['a']);
    });
    promise('are settled by who has taken them, and by nobody who had before', async (history) => {
      await history.addAlerts([alert('a', 1), alert('b', 1), alert('c', 1)]);
      await claim(history, 'x', 1);
      await history.settleAlerts('x', [{ ...settled, id: 'a', due: t0 + 5, problem: 'away' }]);
      assert.deepEqual(idsOf(await claim(history, 'y', 5)), ['a']);
      await history.settleAlerts('x', [{ ...settled, id: 'a', tries: 7 }]);
      const told = [{ channel: 'mail', at: t0 + 6 }];
      await history.settleAlerts('y', [{ ...settled, id: 'a', told }]);
      await history.settleAlerts('x', [
        { ...settled, id: 'b', partOf: 'a' },
        { ...settled, id: 'c', told },
      ]);
      const found = (await history.alerts({ limit: 9 })).items;
      assert.deepEqual(
        found.map(({ id, tries, open, by, due, partOf }) => [id, tries, open, by, due, partOf]),
        [
          ['c', 1, true, null, null, null],
          ['b', 1, false, null, null, 'a'],
          ['a', 1, true, null, null, null],
        ],
      );
      assert.deepEqual(await history.toldSince(t0), told, 'a telling of two is one');
      assert.deepEqual(await history.toldSince(t0 + 7), []);
    });
    promise('stand until their cause is gone; who is not told of it then never is', async (history) => {
      await history.addAlerts([
        alert('a', 1),
        alert('b', 2, { about: 'worker:w' }),
        alert('c', 3, { open: false }),
        alert('d', 4, { about: 'worker:v', due: t0 + 50 }),
      ]);
      const open = async (query: Parameters<History['openAlerts']>[0]) =>
        idsOf(await history.openAlerts(query));
      assert.deepEqual(await open({ after: '', limit: 9 }), ['a', 'd', 'b']);
      assert.deepEqual(await open({ after: 'g/a', limit: 1 }), ['d']);
      assert.deepEqual(await open({ abouts: ['g/a', 'worker:w', 'g/a'] }), ['a', 'b']);
      assert.deepEqual(await open({ abouts: [] }), []);
      await claim(history, 'x', 10);
      await history.endAlerts(['b', 'd'], t0 + 11, true);
      assert.deepEqual(await open({ after: '', limit: 9 }), ['a', 'b'], 'somebody is about to be told of b');
      await history.endAlerts(['a', 'b', 'none'], t0 + 12, false);
      assert.deepEqual(await open({ after: '', limit: 9 }), []);
      const found = (await history.alerts({ limit: 9 })).items;
      assert.deepEqual(
        found.map(({ id, endedAt, due }) => [id, (endedAt ?? t0) - t0, due === null]),
        [
          ['d', 11, true],
          ['c', 0, false],
          ['b', 12, false],
          ['a', 12, false],
        ],
      );
    });
  });

  describe(`History ${name}: the rest`, () => {
    promise('keeps who did what, newest first, page by page', async (history) => {
      const entry = (at: number, who: string, job: string | null) => ({
        ...{
          id: `a${at}`,
          at: t0 + at,
          who,
          what: 'job.update',
          job,
          target: job ?? 'x',
          requestId: `r${at}`,
        },
        ...{ before: { n: at }, after: null },
      });
      const entries = [
        entry(1, 'ann', 'g/a'),
        entry(2, 'bob', 'g/a'),
        entry(3, 'ann', null),
        entry(4, 'ann', 'h/b'),
      ];
      for (const each of [...entries, ...entries]) await history.addAudit(each);
      const ids = async (query: object) =>
        (await history.audit({ limit: 10, ...query })).items.map(({ id }) => id);
      assert.deepEqual(await ids({}), ['a4', 'a3', 'a2', 'a1']);
      assert.deepEqual((await history.audit({ limit: 1 })).items[0], entries[3]);
      assert.deepEqual(await ids({ who: 'ann' }), ['a4', 'a3', 'a1']);
      assert.deepEqual(await ids({ job: 'g/a' }), ['a2', 'a1']);
      assert.deepEqual(await ids({ from: t0 + 2, to: t0 + 4 }), ['a3', 'a2']);
      assert.deepEqual(await ids({ groups: ['g'] }), ['a3', 'a2', 'a1']);
      const first = await history.audit({ limit: 3 });
      await history.addAudit(entry(5, 'ann', null));
      assert.deepEqual(await ids({ cursor: first.next }), ['a1']);
    });
    promise('keeps the last load figures of each worker, told of all or some', async (history) => {
      const load = (id: string, running: number) => ({
        id,
        at: t0,
        running,
        revision: '1',
        cpu: 0.5,
        memory: 1,
        clockSkewMs: null,
      });
      for (const each of [load('b', 1), load('a', 1), load('a', 2)]) await history.saveLoad(each);
      assert.deepEqual(await history.loads(), [load('a', 2), load('b', 1)]);
      assert.deepEqual(await history.loads(['b', 'gone']), [load('b', 1)]);
      assert.deepEqual(await history.loads([]), []);
    });
    promise('forgets what has expired, with its log, and nothing else', async (history) => {
      const gone = Array.from({ length: 300 }, (_, at) =>
        run(at, { state: 'succeeded', expireAt: t0 + (at % 2) }),
      );
      const kept = [run(900, { state: 'succeeded', expireAt: t0 + 10 }), run(901)];
      await history.saveRuns([...gone, ...kept]);
      await history.saveLogs(
        [...gone, ...kept].flatMap(({ id }) => [chunk(id, 0, 0, 'a'), chunk(id, 1, 1, 'b')]),
      );
      await history.saveLogs([chunk('early', 0, 0, 'x', { expireAt: t0 })]);
      if (forgetsByItself) {
        assert.equal(await history.expire(t0 + 5), 0);
        return;
      }
      await history.addAlerts([alert('gone', 0, { expireAt: t0 + 5 }), alert('kept', 0)]);
      assert.equal(await history.expire(t0), 150);
      assert.equal(await history.expire(t0 + 5), 150);
      assert.deepEqual(
        (await history.alerts({ limit: 9 })).items.map(({ id }) => id),
        ['kept'],
      );
      assert.equal(await history.expire(t0 + 5), 0);
      assert.deepEqual(
        (await history.runs({ limit: 500 })).items.map(({ id }) => id),
        kept.map(({ id }) => id).reverse(),
      );
      for (const { id } of kept) assert.equal(textOf((await history.log(id, 0, 10)).data), 'ab');
      for (const id of [gone[0]?.id ?? '', gone[1]?.id ?? '', 'early'])
        assert.equal((await history.log(id, 0, 10)).data.length, 0);
    });
    promise('has the reference time', async (history, clock) => {
      const before = Date.now();
      const now = await history.now();
      if (!hasOwnTime) assert.equal(now, clock.now());
      else assert.ok(now >= before - 1 && now <= Date.now() + 1, `${now}, asked at ${before}`);
    });
  });
}
