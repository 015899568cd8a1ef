import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal } from '#core/model/refusal.ts';
import { parseSchedule } from '#core/schedule/parse.ts';
import { isCi } from '../effort.ts';
import { chance, generate } from './schedule/generate.ts';
import { type Case, nearest } from './schedule/oracle.ts';

/** The same cases for every commit, and new ones each time for who tries it by hand. */
const seed = Number(process.env.SCHEDULE_SEED ?? (isCi ? 401_221_931 : Date.now() % 1_000_000_007));
const cases = Number(process.env.SCHEDULE_CASES ?? 20_000);
/** How many days the oracle walks before it says "none near": five years see every leap day but those around 2100. */
const DAYS = 1_900;

/** What the engine says of a case, checked against the oracle; null where the expression never comes and is refused. */
function check(one: Case): 'found' | 'none' | 'refused' {
  const replay = `SCHEDULE_CASE='${JSON.stringify(one)}' node --test test/unit/schedule-oracle.test.ts`;
  // Where exceptions leave nothing the walk is long; a year of them is enough.
  const days = one.except ? 400 : DAYS;
  const nextExpected = nearest(one, 1, days);
  const prevExpected = nearest(one, -1, days);
  const near = (at: number | null) => at !== null && Math.abs(at - one.from) < (days - 1) * 86_400_000;
  const said = (at: number | null) => (at === null ? 'none' : new Date(at).toISOString());
  try {
    const schedule = parseSchedule(one.expr, { timezone: one.zone, dst: one.dst, except: one.except });
    const next = schedule.next(one.from);
    const prev = schedule.prev(one.from);
    if (nextExpected !== null || near(next))
      assert.equal(said(next), said(nextExpected), `next is wrong; ${replay}`);
    if (prevExpected !== null || near(prev))
      assert.equal(said(prev), said(prevExpected), `prev is wrong; ${replay}`);
    if (next !== null)
      assert.equal(said(schedule.prev(next + 1)), said(next), `prev does not find next; ${replay}`);
    if (next !== null && prev !== null)
      assert.equal(
        said(schedule.next(prev)),
        said(schedule.has(one.from) ? one.from : next),
        `next of prev; ${replay}`,
      );
    return nextExpected === null && prevExpected === null ? 'none' : 'found';
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    assert.equal(said(nextExpected ?? prevExpected), 'none', `refused, but it comes; ${replay}`);
    return 'refused';
  }
}

test(`equals a walk through every minute, forwards and backwards (SCHEDULE_SEED=${seed}, ${cases} cases)`, (t) => {
  const given = process.env.SCHEDULE_CASE;
  if (given !== undefined) {
    t.diagnostic(check(JSON.parse(given)));
    return;
  }
  const random = chance(seed);
  const counts = { found: 0, none: 0, refused: 0 };
  for (let i = 0; i < cases; i++) counts[check(generate(random))]++;
  t.diagnostic(`seed ${seed}: ${JSON.stringify(counts)}`);
  // A generator that mostly made expressions without instants would prove nothing.
  assert.ok(counts.found > cases * 0.9, `only ${counts.found} of ${cases} cases had an instant nearby`);
});
