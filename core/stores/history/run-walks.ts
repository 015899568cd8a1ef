import type { RunQuery } from '#core/ports/history.ts';

/** The indexes of runs, each in the order of lists behind what it is named after. */
export type Walk = 'due' | 'group' | 'job' | 'state' | 'worker' | 'trigger';

/**
 * The queries that together answer one, each a walk along one index. Where the walk would be along all runs, each of several groups
 * gets a walk of its own: otherwise the store would have to sort them, or to look through everybody's runs for those of a
 * group that has none.
 */
export function walksOf(query: RunQuery): RunQuery[] {
  const { groups, group, ...rest } = query;
  if (groups === undefined) return [query];
  if (group !== undefined) return groups.includes(group) ? [{ ...rest, group }] : [];
  const [first = '', ...others] = new Set(groups);
  if (groups.length === 0) return [];
  if (walkedIndex({ ...rest, group: first }) !== 'group') return [query];
  return [first, ...others].map((each) => ({ ...rest, group: each }));
}

/**
 * The walk that is likely the shortest. SQLite keeps no statistics here and would guess: along the runs of a worker to find
 * those that failed, say, which are few. MongoDB is left to try which is shortest, as it does.
 */
export function walkedIndex({ group, name, state, worker, trigger }: RunQuery): Walk {
  const rare = state !== undefined && state !== 'succeeded';
  if (group !== undefined && name !== undefined) return 'job';
  if (rare) return 'state';
  if (trigger !== undefined && trigger !== 'schedule') return 'trigger';
  if (group !== undefined) return 'group';
  if (worker !== undefined) return 'worker';
  if (state !== undefined) return 'state';
  return trigger === undefined ? 'due' : 'trigger';
}
