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
  const page = (below: string | null) =>
    runs
      .find({ group, name, order: { $gte: orderFrom(since), ...(below === null ? {} : { $lt: below }) } })
      .project<{ _id: string; order: string }>({ order: 1 })
      .sort({ order: -1 })
      .limit(pageRuns)
      .toArray();
  return {
    async *runs() {
      for (let some = await page(null); ; ) {
        for (const { _id } of some) yield _id;
        const last = some.at(-1);
        if (last === undefined || some.length < pageRuns) return;
        some = await page(last.order);
      }
    },
    pieces: (run) => logs.pieces(run, -1),
  };
}
