import type { Collection } from 'mongodb';
import type { RunState } from '#core/model/run.ts';
import type { History, StatsBucket } from '#core/ports/history.ts';
import { orderFrom } from './order.ts';
import type { RunDocument } from './run-document.ts';

interface Count<Key> {
  _id: Key;
  n: number;
}

/** Sums over time, made by the server along the index `due` alone. */
export async function readStats(
  runs: Collection<RunDocument>,
  { groups, from, to, stepMs }: Parameters<History['stats']>[0],
): Promise<StatsBucket[]> {
  const match = {
    order: { $gte: orderFrom(from), $lt: orderFrom(to) },
    ...(groups === undefined ? {} : { group: { $in: [...groups] } }),
  };
  const step = { $floor: { $divide: [{ $subtract: [{ $toLong: '$due' }, from] }, stepMs] } };
  const ask = <Key>(more: object, key: object, n: object) =>
    runs
      .aggregate<Count<Key>>([
        { $match: { ...match, ...more } },
        { $group: { _id: { step, ...key }, n: { $sum: n } } },
      ])
      .toArray();
  // How often each value came, not the values: of many runs most last as long as others, to the millisecond.
  const values = (field: 'duration' | 'late') =>
    ask<{ step: number; value: number }>(
      { [field]: { $gte: Number.MIN_SAFE_INTEGER } },
      { value: `$${field}` },
      { $literal: 1 },
    );
  const [states, durations, lates] = await Promise.all([
    ask<{ step: number; state: RunState }>({}, { state: '$state' }, '$count' as unknown as object),
    values('duration'),
    values('late'),
  ]);
  const counts = Map.groupBy(states, ({ _id }) => _id.step);
  const [duration, late] = [durations, lates].map((all) => Map.groupBy(all, ({ _id }) => _id.step));
  return Array.from({ length: Math.ceil((to - from) / stepMs) }, (_, at) => {
    const [durationP50, durationP99] = quantiles(duration?.get(at) ?? []);
    const [lateP50, lateP99] = quantiles(late?.get(at) ?? []);
    const ofStep = counts.get(at) ?? [];
    return {
      at: from + at * stepMs,
      counts: Object.fromEntries(ofStep.map(({ _id, n }) => [_id.state, n])),
      ...{ durationP50, durationP99, lateP50, lateP99 },
    };
  });
}

/** The values that half, and 99 of 100, do not exceed. */
function quantiles(values: readonly Count<{ value: number }>[]): [p50: number | null, p99: number | null] {
  const sorted = values.toSorted((a, b) => a._id.value - b._id.value);
  const total = sorted.reduce((sum, { n }) => sum + n, 0);
  const at = (share: number): number | null => {
    let left = Math.ceil(total * share);
    for (const { _id, n } of sorted) {
      left -= n;
      if (left <= 0) return _id.value;
    }
    return null;
  };
  return [at(0.5), at(0.99)];
}
