import type { Collection } from 'mongodb';
import type { History } from '#core/ports/history.ts';
import type { SearchSource } from '../log-search.ts';
import type { logsCollection } from './logs.ts';
import { orderFrom } from './order.ts';
import type { RunDocument } from './run-document.ts';

const pageRuns = 200;

/** What a search reads. */
export function searchSource(
  runs: Collection<RunDocument>,
  logs: ReturnType<typeof logsCollection>,
  { group, name, since }: Parameters<History['search']>[0],
): SearchSource {
  const page = (end: { $lt?: string; $lte?: string }) =>
    runs
      .find({ group, name, order: { $gte: orderFrom(since), ...end } })
      .project<{ _id: string; order: string }>({ order: 1 })
      .sort({ order: -1 })
      .limit(pageRuns)
      .toArray();
  return {
    keyShape: ['string'],
    async *runs(first) {
      for (let some = await page(first === null ? {} : { $lte: String(first[0]) }); ; ) {
        // An order begins with when the run was due.
        for (const { _id, order } of some) yield { id: _id, due: Number.parseInt(order, 10), key: [order] };
        const last = some.at(-1);
        if (last === undefined || some.length < pageRuns) return;
        some = await page({ $lt: last.order });
      }
    },
    pieces: (run, start) => logs.pieces(run, start),
  };
}
