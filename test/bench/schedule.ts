import { CronExpressionParser } from 'cron-parser';
import { Cron } from 'croner';
import { parseSchedule } from '#core/schedule/parse.ts';
import { type BenchRow, type BenchTable, percentile } from './bench.ts';

/** Dense and sparse, in zones with and without clock changes. */
const expressions = [
  ['* * * * * *', 'UTC'],
  ['* * * * * *', 'Europe/Berlin'],
  ['* * * * *', 'UTC'],
  ['*/5 * * * *', 'Europe/Berlin'],
  ['0,30 8-18 * * 1-5', 'America/New_York'],
  ['*/15 */2 * * *', 'Australia/Lord_Howe'],
  ['0 0 * * *', 'UTC'],
  ['30 2 * * *', 'Europe/Berlin'],
  ['0 9 * * 1', 'Asia/Kathmandu'],
  ['15 10 1,15 * *', 'America/New_York'],
  ['0 12 * * 5L', 'UTC'],
  ['0 0 1 1 *', 'Europe/Berlin'],
  ['0 0 29 2 *', 'UTC'],
  ['59 23 31 12 *', 'Australia/Lord_Howe'],
] as const;
/** Ours and the others in turns, so that what else the machine does meets all alike. */
const rounds = 5;
const sliceMs = 60;
/** Whoever is asked starts here, and starts here again when he has come to the end of the century. */
const from = Date.UTC(2026, 0, 1);
const to = Date.UTC(2100, 0, 1);

/** Gives the first instant, and with each further call the one after it; null starts it anew. */
type Walk = (after: number | null) => number;

/** How fast each finds instant after instant of one expression, which it has read before. */
export async function bench(): Promise<BenchTable> {
  return {
    title: `Instants per second, one after the other, beside cron-parser (at least 20 x) and croner (median of ${rounds})`,
    rows: expressions.map(([text, zone]) => rowsOf(text, zone)),
  };
}

function rowsOf(text: string, timezone: string): BenchRow {
  const walks = [ours(text, timezone), cronParser(text, timezone), croner(text, timezone)];
  // One that is wrong may well be fast: first they have to agree, on a stretch without a clock change.
  const firsts = walks.map((walk) => walk(null));
  if (new Set(firsts).size !== 1)
    throw new Error(`${text} in ${timezone}: they differ on the first instant: ${firsts.join(', ')}`);
  const speeds = walks.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++)
    walks.forEach((walk, who) => {
      speeds[who]?.push(perSecond(walk));
    });
  const [mine = 0, parser = 0, other = 0] = speeds.map((some) => percentile(some, 0.5));
  return {
    name: `\`${text}\` ${timezone}`,
    value: thousands(mine),
    yardstick: `${thousands(parser)}, ${thousands(other)}`,
    ratio: `${Math.round(mine / parser)} x, ${Math.round(mine / other)} x`,
  };
}

function perSecond(walk: Walk): number {
  const began = performance.now();
  let found = 0;
  let at: number | null = null;
  let tookMs = 0;
  // The clock is looked at seldom: a look costs more than an instant.
  for (let looks = 1; tookMs < sliceMs; looks = Math.min(looks * 2, 1_000)) {
    for (let i = 0; i < looks; i++) {
      at = walk(at);
      if (at >= to) at = null;
    }
    found += looks;
    tookMs = performance.now() - began;
  }
  return (found * 1_000) / tookMs;
}

function ours(text: string, timezone: string): Walk {
  const schedule = parseSchedule(text, { timezone });
  return (after) => schedule.next(after ?? from) ?? to;
}

/** It keeps its place itself: its fastest way. */
function cronParser(text: string, tz: string): Walk {
  const parsed = CronExpressionParser.parse(text, { tz, currentDate: new Date(from) });
  return (after) => {
    if (after === null) parsed.reset(new Date(from));
    return parsed.next().getTime();
  };
}

function croner(text: string, timezone: string): Walk {
  const cron = new Cron(text, { timezone });
  return (after) => cron.nextRun(new Date(after ?? from))?.getTime() ?? to;
}

const thousands = (count: number) => Math.round(count).toLocaleString('en');
