/**
 * The schedule engine's judge: it walks UTC minute by minute (second by second within a minute that matches), asks
 * Intl for the offset of each half hour and holds every local time against the expression's text, item by item. It
 * shares no line and no idea with core/schedule: no bit sets, no month kinds, no segments, and not even the way to ask
 * Intl. It knows only zones whose clocks change on a half hour.
 */
export interface Case {
  expr: string;
  zone: string;
  dst: 'vixie' | 'skip' | 'both';
  /** UTC milliseconds. */
  from: number;
  except?: string[];
}

const MINUTE = 60_000;
const HALF_HOUR = 1_800_000;
const DAY = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();
const offsets = new Map<string, Map<number, number>>();

/** Local minus UTC in milliseconds, at any instant. */
export function offsetAt(zone: string, ms: number): number {
  const known = offsets.get(zone) ?? new Map<number, number>();
  offsets.set(zone, known);
  const ask = (slot: number): number => {
    const seen = known.get(slot);
    if (seen !== undefined) return seen;
    const offset = askIntl(zone, slot * HALF_HOUR);
    known.set(slot, offset);
    return offset;
  };
  // None of the zones changes its clock twice in one UTC day, so days that begin and end alike need no closer look.
  const midnight = Math.floor(ms / DAY) * 48;
  const first = ask(midnight);
  return first === ask(midnight + 48) ? first : ask(Math.floor(ms / HALF_HOUR));
}

function askIntl(zone: string, ms: number): number {
  const format =
    formats.get(zone) ?? new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' });
  formats.set(zone, format);
  const [, sign, hours, minutes, seconds] =
    /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(format.format(ms)) ?? [];
  const size = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * MINUTE + Number(seconds ?? 0) * 1_000;
  return sign === '-' ? -size : size;
}

const names = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const months = ['', 'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

function number(token: string): number {
  const lower = token.toLowerCase();
  if (names.includes(lower)) return names.indexOf(lower);
  return months.includes(lower) ? months.indexOf(lower) : Number(token);
}

/** Whether a plain list names a value, by counting through each of its ranges. */
function lists(text: string, value: number, min: number, max: number): boolean {
  return text.split(',').some((part) => {
    const [body = '', step] = part.split('/');
    let [low, high] = [min, max];
    if (body !== '*' && body !== '?') {
      if (!/^\w+(-\w+)?$/.test(body) || /^(LW|L|\d+W|\w+L)$/i.test(body)) return false;
      const [a = '', b] = body.split('-');
      low = number(a);
      high = b === undefined ? (step === undefined ? low : max) : number(b);
      if (max === 6) [low, high] = [low % 7, high === 7 ? (low === 0 ? 6 : 0) : high];
    }
    for (let at = low, counted = 0; ; at = at === max ? min : at + 1, counted++) {
      if (counted % Number(step ?? 1) === 0 && at === value) return true;
      if (at === high) return false;
    }
  });
}

function dayMatches(words: readonly string[], local: Date): boolean {
  const [, , , dom = '', month = '', dow = '', year = ''] = words;
  const [y, m, d, w] = [local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate(), local.getUTCDay()];
  if (!lists(month, m + 1, 1, 12) || !lists(year, y, 1970, 9999)) return false;
  const length = new Date(Date.UTC(y, m + 1, 0)).getUTCDate();
  const works = (day: number) => ![0, 6].includes(new Date(Date.UTC(y, m, day)).getUTCDay());
  const working = dom.includes('W') ? Array.from({ length }, (_, i) => i + 1).filter(works) : [];
  const byDay = dom.split(',').some((part) => {
    if (part === 'L') return d === length;
    if (part === 'LW') return d === working.at(-1);
    if (part.startsWith('L-')) return d === length - Number(part.slice(2));
    if (!part.endsWith('W')) return lists(part, d, 1, 31);
    const day = Number(part.slice(0, -1));
    const near = working.toSorted((a, b) => Math.abs(a - day) - Math.abs(b - day));
    return day <= length && d === near[0];
  });
  const byWeekday = dow.split(',').some((part) => {
    if (part.includes('#')) {
      const [weekday = '', nth] = part.split('#');
      return number(weekday) % 7 === w && Math.ceil(d / 7) === Number(nth);
    }
    if (part.endsWith('L')) return number(part.slice(0, -1)) % 7 === w && d + 7 > length;
    return lists(part, w, 0, 6);
  });
  return /^[*?]/.test(dom) || /^[*?]/.test(dow) ? byDay && byWeekday : byDay || byWeekday;
}

interface Reading {
  wildcard: boolean;
  seconds: number[];
  minute: boolean[];
  hour: boolean[];
  day(local: number): boolean;
}

function read(expr: string, second: string): Reading {
  const given = expr.split(/\s+/);
  const words = given.length === 5 ? [second, ...given, '*'] : given.length === 6 ? [...given, '*'] : given;
  const [s = '', m = '', h = ''] = words;
  const table = (text: string, size: number) =>
    Array.from({ length: size }, (_, i) => lists(text, i, 0, size - 1));
  const known = new Map<number, boolean>();
  return {
    wildcard: /^[*?]/.test(m) || /^[*?]/.test(h),
    seconds: table(s, 60).flatMap((hit, i) => (hit ? [i] : [])),
    minute: table(m, 60),
    hour: table(h, 24),
    day: (local) => {
      const day = Math.floor(local / DAY);
      const hit = known.get(day) ?? dayMatches(words, new Date(day * DAY));
      known.set(day, hit);
      return hit;
    },
  };
}

function leavesOut(except: string): (local: number) => boolean {
  if (/^\d{4}-/.test(except)) {
    const [first = '', last = first] = except.split('..');
    const [from, to] = [Date.parse(`${first}T00:00Z`), Date.parse(`${last}T00:00Z`) + DAY];
    return (local) => local >= from && local < to;
  }
  const reading = read(except, '*');
  return (local) => {
    const date = new Date(local);
    return (
      reading.day(local) &&
      reading.hour[date.getUTCHours()] === true &&
      reading.minute[date.getUTCMinutes()] === true &&
      reading.seconds.includes(date.getUTCSeconds())
    );
  };
}

/**
 * The nearest instant strictly after (`way` 1) or before (-1) the case's `from`, or null when none lies within `days`
 * UTC days of it.
 */
export function nearest(one: Case, way: 1 | -1, days: number): number | null {
  const reading = read(one.expr, '0');
  const outs = (one.except ?? []).map(leavesOut);
  const out = (local: number) => outs.some((leaves) => leaves(local));
  const fixed = one.dst === 'vixie' && !reading.wildcard;
  const once = one.dst === 'skip' || fixed;
  const since = (local: number) => ((local % DAY) + DAY) % DAY;
  const minuteHits = (local: number): boolean =>
    reading.hour[Math.floor(since(local) / 3_600_000)] === true &&
    reading.minute[Math.floor(since(local) / MINUTE) % 60] === true &&
    reading.day(local);

  /** The instants within the UTC minute that begins at `utc`, ascending. */
  const inMinute = (utc: number): number[] => {
    const found: number[] = [];
    const offset = offsetAt(one.zone, utc);
    const local = utc + offset;
    if (minuteHits(local) && !(once && comesAgain(one.zone, utc, local)))
      for (const second of reading.seconds)
        if (!out(local + second * 1_000)) found.push(utc + second * 1_000);
    if (fixed && utc % HALF_HOUR === 0 && found[0] !== utc) {
      const before = offsetAt(one.zone, utc - 1);
      const gap = offset - before;
      if (gap > 0 && gap < 3 * 3_600_000 && !out(local))
        for (let skipped = utc + before; skipped < local; skipped += MINUTE)
          if (minuteHits(skipped) && reading.seconds.some((second) => !out(skipped + second * 1_000))) {
            found.unshift(utc);
            break;
          }
    }
    return found;
  };

  const today = Math.floor(one.from / DAY);
  for (let ahead = 0; ahead <= days; ahead++) {
    const utcDay = today + way * ahead;
    if (utcDay < 0) return null;
    // Offsets are -12 to +14 hours: a UTC day shows local times of itself and its neighbours only.
    if (![-1, 0, 1].some((near) => reading.day((utcDay + near) * DAY))) continue;
    for (let half = 0; half < 48; half++) {
      const begin = utcDay * DAY + (way > 0 ? half : 47 - half) * HALF_HOUR;
      const local = begin + offsetAt(one.zone, begin);
      const quiet = local === begin + offsetAt(one.zone, begin - 1);
      // Half an hour in which neither an hour of the expression nor a change of the clocks falls has nothing to find.
      if (
        quiet &&
        ![local, local + HALF_HOUR - 1].some((at) => reading.hour[Math.floor(since(at) / 3_600_000)])
      )
        continue;
      for (let i = 0; i < 30; i++) {
        const utc = begin + (way > 0 ? i : 29 - i) * MINUTE;
        if (way > 0 ? utc + MINUTE <= one.from : utc >= one.from) continue;
        const found = inMinute(utc).filter((at) => (way > 0 ? at > one.from : at < one.from));
        const first = way > 0 ? found[0] : found.at(-1);
        if (first !== undefined) return first;
      }
    }
  }
  return null;
}

/** Whether the clock showed the same local time already, less than three hours ago. */
function comesAgain(zone: string, utc: number, local: number): boolean {
  for (let back = HALF_HOUR; back < 3 * 3_600_000; back += HALF_HOUR)
    if (local - offsetAt(zone, utc - back) === utc - back) return true;
  return false;
}
