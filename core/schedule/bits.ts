/**
 * Sets of the numbers 0 to 59 as two words of 30 bits: positive small integers, which V8 keeps unboxed.
 * `low` holds 0 to 29, `high` 30 to 59.
 */

/** Whether `at` is in the set. */
export function has(low: number, high: number, at: number): boolean {
  return ((at < 30 ? low >>> at : high >>> (at - 30)) & 1) === 1;
}

/** The smallest member >= `at`, or -1. `at` is 0 to 60. */
export function atOrAfter(low: number, high: number, at: number): number {
  if (at < 30) {
    const rest = low & (-1 << at);
    if (rest !== 0) return 31 - Math.clz32(rest & -rest);
    return high === 0 ? -1 : 61 - Math.clz32(high & -high);
  }
  const rest = at >= 60 ? 0 : high & (-1 << (at - 30));
  return rest === 0 ? -1 : 61 - Math.clz32(rest & -rest);
}

/** The largest member <= `at`, or -1. `at` is -1 to 59. */
export function atOrBefore(low: number, high: number, at: number): number {
  if (at >= 30) {
    const rest = high & (0x3fffffff >>> (59 - at));
    if (rest !== 0) return 61 - Math.clz32(rest);
  }
  const rest = at >= 29 ? low : at < 0 ? 0 : low & (0x3fffffff >>> (29 - at));
  return 31 - Math.clz32(rest);
}
