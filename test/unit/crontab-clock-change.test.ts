import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clockChangeOf } from '#core/crontab/clock-change.ts';
import { parseCrontab } from '#core/crontab/parse.ts';

const now = Date.UTC(2026, 10, 22);

/** Lines and zones, and what is said of them; null: they mean here what they meant to cron. */
const rows: [string, string, RegExp | null][] = [
  [
    '0,30 2 * * *',
    'Europe/Berlin',
    /^on 2027-03-28 clocks go forward from 02:00 to 03:00 in Europe\/Berlin: cron would run it 2 times then \(for 02:00 to 02:30\), cronfleet runs it once$/,
  ],
  ['0-45/15 2 * * sun', 'America/New_York', /^on 2027-03-14 .*4 times then \(for 02:00 to 02:45\)/],
  ['30 2 * * *', 'Europe/Berlin', null],
  ['0,30 3 * * *', 'Europe/Berlin', null],
  ['*/15 2 * * *', 'Europe/Berlin', null],
  ['0,30 * * * *', 'Europe/Berlin', null],
  ['0,30 2 * 10 *', 'Europe/Berlin', null],
  ['0,30 2 * * mon', 'Europe/Berlin', null],
  // Half an hour is skipped there.
  ['0,30 2 * * *', 'Australia/Lord_Howe', null],
  ['0,20 2 * * *', 'Australia/Lord_Howe', /^on 2027-10-03 .* to 02:30 .*2 times/],
  ['0,30 2 * * *', 'UTC', null],
  ['@daily', 'Europe/Berlin', null],
];

describe('a line that is taken over is said to differ from cron at a change of clocks', () => {
  for (const [line, zone, expected] of rows)
    it(`${expected === null ? 'not' : 'where it does'}: ${line} in ${zone}`, () => {
      const { jobs } = parseCrontab(`${line} x\n`, { kind: 'user', zone });
      const said = clockChangeOf(jobs[0]?.job ?? { name: '' }, now);
      if (expected === null) assert.equal(said, null);
      else assert.match(said ?? '', expected);
    });
});
