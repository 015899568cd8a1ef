import type { Collection, Filter } from 'mongodb';
import type { Run } from '#core/model/run.ts';
import type { Page, RunQuery } from '#core/ports/history.ts';
import { encodeCursor } from '../cursor.ts';
import { walksOf } from '../run-walks.ts';
import { orderBetween } from './order.ts';
import { type RunDocument, runOf } from './run-document.ts';

/** A page of a list of runs, newest first. */
export async function listRuns(runs: Collection<RunDocument>, query: RunQuery): Promise<Page<Run>> {
  const walks = walksOf(query).map((walk) =>
    runs
      .find(filterOf(walk))
      .sort({ order: -1 })
      .limit(query.limit + 1)
      .batchSize(query.limit + 1)
      .toArray(),
  );
  const found = (await Promise.all(walks)).flat();
  if (walks.length > 1) found.sort((a, b) => (a.order < b.order ? 1 : -1));
  const items = found.slice(0, query.limit);
  const last = items.at(-1);
  const more = found.length > items.length && last !== undefined;
  return { items: items.map(runOf), next: more ? encodeCursor([last.order]) : null };
}

function filterOf({ group, groups, name, worker, state, trigger, from, to, cursor }: RunQuery) {
  const among = group === undefined && groups !== undefined ? { $in: [...groups] } : group;
  const equal = Object.entries({ group: among, name, worker, state, trigger }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    ...Object.fromEntries(equal),
    order: orderBetween(from, to, cursor),
  } as Filter<RunDocument>;
}
