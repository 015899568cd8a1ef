import type { Collection, Filter } from 'mongodb';
import type { Run } from '#core/model/run.ts';
import type { Page, RunQuery } from '#core/ports/history.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { walkedIndex, walksOf } from '../run-walks.ts';
import { orderFrom, type RunDocument, runOf } from './run-document.ts';

/** A page of a list of runs, newest first. */
export async function listRuns(runs: Collection<RunDocument>, query: RunQuery): Promise<Page<Run>> {
  const walks = walksOf(query).map((walk) =>
    runs
      .find(filterOf(walk))
      .sort({ order: -1 })
      .hint(walkedIndex(walk))
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
  const below: string[] = [];
  if (to !== undefined) below.push(orderFrom(to));
  if (cursor !== undefined) below.push(String(decodeCursor(cursor, ['string'])[0]));
  const [lowest] = below.sort();
  const order = {
    ...(from === undefined ? {} : { $gte: orderFrom(from) }),
    ...(lowest === undefined ? {} : { $lt: lowest }),
  };
  const among = group === undefined && groups !== undefined ? { $in: [...groups] } : group;
  const equal = Object.entries({ group: among, name, worker, state, trigger }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    ...Object.fromEntries(equal),
    ...(Object.keys(order).length === 0 ? {} : { order }),
  } as Filter<RunDocument>;
}
