import type { AnyBulkWriteOperation, Collection } from 'mongodb';
import { MongoError } from 'mongodb';
import type { Run } from '#core/model/run.ts';
import { HistoryError } from '#core/ports/history.ts';
import { keepFirst } from '../keep-first.ts';
import { refusalOf, unwritten } from './mongo-error.ts';
import { orderFrom } from './order.ts';
import { asStored, documentOf, type RunDocument, runOf } from './run-document.ts';

/** Others may write the same records meanwhile. Each round at least one of all who do gets through. */
const mostRounds = 20;
/** How many short queries are under way at once. */
const atOnce = 16;

type Records = ReadonlyMap<string, readonly Run[]>;

/** The ledger: one document a run. */
export function runsCollection(runs: Collection<RunDocument>) {
  /** Writes those that are new, all in one; answers the ids of which History holds something, and the error about those it won't take. */
  async function insert(records: Records): Promise<{ there: string[]; refused: unknown }> {
    const ids = [...records.keys()];
    try {
      await runs.insertMany(
        [...records.values()].map((all) => documentOf(fold(null, all))),
        { ordered: false },
      );
      return { there: [], refused: null };
    } catch (error) {
      const { there, refused } = unwritten(error);
      return { there: there.flatMap((index) => ids[index] ?? []), refused };
    }
  }

  /**
   * Has what History holds of these go on as keep-first says. Answers those of which it holds nothing any more, or which somebody else has
   * changed meanwhile. Each document is replaced only where it is the one that was read, by its `rev`; in a transaction whoever dies in the middle
   * would leave all of them locked for a minute.
   */
  async function change(records: Records, ids: readonly string[]): Promise<string[]> {
    const left = new Set(ids);
    const changed: AnyBulkWriteOperation<RunDocument>[] = [];
    for (const document of await runs.find({ _id: { $in: [...ids] } }).toArray()) {
      const before = runOf(document);
      const { _id, ...next } = documentOf(fold(before, records.get(before.id) ?? []));
      if (JSON.stringify(runOf({ _id, ...next })) === JSON.stringify(before)) {
        left.delete(_id);
        continue;
      }
      const { rev } = document;
      const filter = { _id, rev: rev ?? { $exists: false } };
      changed.push({ replaceOne: { filter, replacement: { ...next, rev: (rev ?? 0) + 1 } } });
    }
    if (changed.length === 0) return [...left];
    const { matchedCount } = await runs.bulkWrite(changed, { ordered: false });
    // Which of them somebody was quicker with is not said: all are looked at once more.
    return matchedCount < changed.length ? [...left] : [];
  }

  /** That; where the server will not take one of them, the others all the same. */
  async function changeWhatMay(
    records: Records,
    ids: readonly string[],
  ): Promise<{ open: string[]; refused: unknown }> {
    try {
      return { open: await change(records, ids), refused: null };
    } catch (error) {
      if (!(error instanceof MongoError) || refusalOf(error) === undefined) throw error;
      if (ids.length <= 1) return { open: [], refused: error };
      const open: string[] = [];
      for (const id of ids) open.push(...(await changeWhatMay(records, [id])).open);
      return { open, refused: error };
    }
  }

  return {
    async save(records: readonly Run[]): Promise<void> {
      let problem: unknown = null;
      let left: Records = Map.groupBy(records.map(asStored), ({ id }) => id);
      for (let round = 0; left.size > 0; round++) {
        if (round === mostRounds)
          throw new HistoryError(
            'unavailable',
            `${left.size} records change while they are saved; try again`,
          );
        const { there, refused } = await insert(left);
        problem ??= refused;
        if (there.length === 0) break;
        const { open, refused: alsoRefused } = await changeWhatMay(left, there);
        problem ??= alsoRefused;
        left = new Map(open.map((id) => [id, left.get(id) ?? []]));
      }
      // What the server will not take keeps nothing else from being saved.
      if (problem !== null) throw problem;
    },
    async one(id: string): Promise<Run | null> {
      const found = await runs.findOne({ _id: id });
      return found === null ? null : runOf(found);
    },
    async covering(group: string, name: string, instant: number): Promise<Run[]> {
      const at = new Date(instant);
      const [own, around] = await Promise.all([
        runs
          .find({
            ...{ group, name, instant: at },
            order: { $gte: orderFrom(instant), $lt: orderFrom(instant + 1) },
          })
          .sort({ order: -1 })
          .toArray(),
        runs
          .find({ group, name, until: { $gte: at }, instant: { $lt: at } })
          .sort({ until: 1 })
          .limit(5)
          .toArray(),
      ]);
      return [...own, ...around].map(runOf);
    },
    async latest(jobs: readonly string[]): Promise<Map<string, Run>> {
      const found = new Map<string, Run>();
      const last = async (job: string) => {
        const [group = '', name = ''] = job.split('/');
        const [document] = await runs.find({ group, name }).sort({ order: -1 }).limit(1).toArray();
        return [job, document] as const;
      };
      for (let from = 0; from < jobs.length; from += atOnce)
        for (const [job, document] of await Promise.all(jobs.slice(from, from + atOnce).map(last)))
          if (document !== undefined) found.set(job, runOf(document));
      return found;
    },
  };
}

/** What History shall hold when all of these come one after the other to what it holds. */
function fold(held: Run | null, records: readonly Run[]): Run {
  const end = records.reduce((before: Run | null, next) => keepFirst(before, next) ?? before, held);
  if (end === null) throw new Error('expected at least one record');
  return end;
}
