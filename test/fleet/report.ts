import type { Verdict } from './verdict.ts';

/** What a run of chaos has shown, for people. */
export function report({
  due,
  started,
  duplicates,
  unaccounted,
  worstLateMs,
  worstQuietLateMs,
  breaches,
}: Verdict): string {
  return [
    `${due} instants due, ${started} runs started, ${duplicates} duplicates, ${unaccounted} unaccounted`,
    `worst lateness ${worstLateMs} ms under faults, ${worstQuietLateMs} ms in the quiet after`,
    ...breaches,
  ].join('\n');
}
