import { refuse } from './refusal.ts';

const unitMs: Record<string, number> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const shape = /^(?:\d+(?:ms|[smhdw]))+$/;
/** A hundred years: beyond, a time from now on would leave what a Date can hold. */
const longestMs = 36_500 * 86_400_000;

/** Whether `text` is a duration such as `90s`, `5m`, `1h30m`, `250ms`, `30d`, of at most a hundred years. */
export function isDuration(text: string): boolean {
  return shape.test(text) && total(text) <= longestMs;
}

function total(text: string): number {
  let ms = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smhdw])/g))
    ms += Number(count) * (unitMs[unit ?? ''] ?? 0);
  return ms;
}

/** Milliseconds of a duration text; a Refusal `duration_invalid` names `path` and the value. */
export function durationMs(text: string, path = 'duration'): number {
  if (!isDuration(text))
    throw refuse('duration_invalid', path, text, 'a duration such as 90s, 5m, 1h30m or 250ms');
  return total(text);
}

/** The shortest text that durationMs reads back as `ms`. */
export function durationText(ms: number): string {
  if (ms === 0) return '0s';
  let rest = ms;
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const size = unitMs[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}
