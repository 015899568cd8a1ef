import { type Case, offsetAt } from './oracle.ts';

/** Numbers in [0, 1) that a seed decides (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const zones = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Africa/Casablanca',
  'Asia/Kathmandu',
  'UTC',
] as const;

const DAY = 86_400_000;
const changes = new Map<string, number[]>();

/** UTC days from 1971 to 2089 on which a zone's clock changes. */
export function changeDays(zone: string): number[] {
  const known = changes.get(zone);
  if (known) return known;
  const days: number[] = [];
  for (let at = Date.UTC(1971, 0); at < Date.UTC(2089, 0); at += DAY)
    if (offsetAt(zone, at) !== offsetAt(zone, at + DAY)) days.push(at);
  changes.set(zone, days);
  return days;
}

/** One case, most of them near a change of the clocks, where engines are wrong. */
export function generate(random: () => number): Case {
  const below = (count: number) => Math.floor(random() * count);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const often = (share: number) => random() < share;

  const list = (item: () => string) => Array.from({ length: often(0.75) ? 1 : 2 + below(2) }, item).join(',');
  const range = (min: number, max: number) => `${min + below(max - min + 1)}-${min + below(max - min + 1)}`;
  const plain = (min: number, max: number, steps: readonly number[]) =>
    list(() => {
      const kind = random();
      if (kind < 0.55) return String(min + below(max - min + 1));
      if (kind < 0.7) return range(min, max);
      if (kind < 0.8) return `${range(min, max)}/${pick(steps)}`;
      if (kind < 0.9) return `*/${pick(steps)}`;
      return `${min + below(max - min + 1)}/${pick(steps)}`;
    });
  const minute = () =>
    often(0.2) ? '*' : often(0.3) ? pick(['0', '30', '15,45', '59']) : plain(0, 59, [2, 5, 7, 15, 30, 70]);
  // Most clocks change between midnight and four.
  const hour = () =>
    often(0.25)
      ? '*'
      : often(0.6)
        ? pick(['0', '1', '2', '3', '1-3', '2,3', '23-2', '0-3/2'])
        : plain(0, 23, [2, 3, 5, 6, 12]);
  const day = () => {
    if (often(0.6)) return pick(['*', '*', '*', '?', '*/2', '*/7']);
    return list(() => {
      const kind = random();
      if (kind < 0.5) return plain(1, 31, [2, 3, 7, 10]);
      return pick(['L', 'LW', `L-${below(31)}`, `${1 + below(31)}W`, '31', '29', '25-31', '28-3']);
    });
  };
  const monthly = () =>
    often(0.7)
      ? '*'
      : often(0.4)
        ? pick(['MAR', 'oct', '3,4,10,11', 'FEB', '11-2', '*/3'])
        : plain(1, 12, [2, 3, 5]);
  const weekday = () => {
    if (often(0.6)) return pick(['*', '*', '*', '?', '*/2']);
    const name = () => pick(['sun', 'MON', 'tue', '3', '4', 'FRI', '6', '7', '0']);
    return list(() =>
      pick([
        name,
        () => `${name()}#${1 + below(5)}`,
        () => `${name()}L`,
        () => pick(['FRI-MON', '1-5', '6-7', '5-1/2', '0-7']),
      ])(),
    );
  };

  const zone = pick(zones);
  const days = changeDays(zone);
  const spot = random();
  let from: number;
  if (spot < 0.6 && days.length > 0) {
    const near = zone === 'Pacific/Apia' && often(0.3) ? Date.UTC(2011, 11, 30) : pick(days);
    from = near + Math.floor((random() - 0.3) * 3 * DAY);
  } else if (spot < 0.85) from = Date.UTC(1971, 0) + Math.floor(random() * 118 * 365 * DAY);
  else if (spot < 0.95) from = Date.UTC(2090, 0) + Math.floor(random() * 500 * 365 * DAY);
  else from = Date.UTC(2600, 0) + Math.floor(random() * 7_300 * 365 * DAY);
  if (often(0.5)) from = Math.floor(from / 60_000) * 60_000;

  // The dialect's years begin with 1970.
  const year = new Date(from).getUTCFullYear();
  const five = [minute(), hour(), day(), monthly(), weekday()];
  const shape = random();
  const second = () => (often(0.4) ? pick(['0', '*', '*/20', '59']) : plain(0, 59, [7, 15, 40]));
  const words =
    shape < 0.7
      ? five
      : shape < 0.9
        ? [second(), ...five]
        : [
            second(),
            ...five,
            pick([`${year}`, `${year}-${year + 3}`, `${Math.max(1970, year - 2)},${year + 2}`, '*/2', '*']),
          ];

  const one: Case = { expr: words.join(' '), zone, dst: pick(['vixie', 'vixie', 'skip', 'both']), from };
  if (often(0.15)) {
    const date = (by: number) => new Date(from + by * DAY).toISOString().slice(0, 10);
    one.except = [
      pick([
        () => date(below(3) - 1),
        () => `${date(-below(4))}..${date(below(4))}`,
        () => `* * * * ${pick(['SUN', '1-5', '6#2', '5L', '6-1'])}`,
        () => `* ${pick(['0-1', '2', '3', '22-2', '1-3/2'])} * * *`,
        () => `${pick(['0-29', '30', '*', '*/2'])} ${pick(['1', '2', '2,3', '0-4'])} * * *`,
        () => `${second()} * * ${day()} * *`,
      ])(),
    ];
  }
  return one;
}
