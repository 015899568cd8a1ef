import type { Collection } from 'mongodb';
import { isTerminal, type Run, runStates } from '#core/model/run.ts';
import { HistoryError } from '#core/ports/history.ts';
import { keepFirst } from '../keep-first.ts';
import { unwritten } from './mongo-error.ts';
import { asStored, documentOf, orderFrom, type RunDocument, runOf, storedAlso } from './run-document.ts';

const open = runStates.filter((state) => !isTerminal(state));
/** Others may write the same records meanwhile. Each round at least one of all who do gets through. */
const mostRounds = 20;
/** How many short queries are under way at once. */
const atOnce = 16;

/** The ledger: one document a run. */
export function runsCollection(runs: Collection<RunDocument>) {
  /**
   * Writes what these records come to where History holds none or an open one, which the server itself judges. Answers which
   * it did not write: `ended`, which have ended there, and the error about those that it will not take.
   */
  async function put(
    records: ReadonlyMap<string, readonly Run[]>,
  ): Promise<{ ended: string[]; refused: Error | null }> {
    const ids = [...records.keys()];
    const operations = [...records].map(([id, all]) => ({
      replaceOne: {
        filter: { _id: id, state: { $in: open } },
        // Or it might look through all that are open.
        hint: '_id_',
        // Without _id: that comes from the filter.
        replacement: withoutId(documentOf(fold(null, all))),
        // A terminal record does not fit the filter, so the insert in its stead finds its _id taken.
        upsert: true,
      },
    }));
    try {
      await runs.bulkWrite(operations, { ordered: false });
      return { ended: [], refused: null };
    } catch (error) {
      const { there, refused } = unwritten(error);
      return { ended: there.flatMap((index) => ids[index] ?? []), refused };
    }
  }

  /** The rest of `records`: puts into a record that has ended what comes later; answers what has not ended after all. */
  async function putBeside(
    records: ReadonlyMap<string, readonly Run[]>,
    ids: readonly string[],
  ): Promise<Map<string, readonly Run[]>> {
    const left = new Map(ids.map((id) => [id, records.get(id) ?? []] as const));
    // What was just written may not have reached a majority, and is there all the same.
    const held = runs.find({ _id: { $in: [...ids] } }, { readConcern: { level: 'local' } });
    const updates: { updateOne: { filter: { _id: string }; update: object } }[] = [];
    for (const document of await held.toArray()) {
      const before = runOf(document);
      if (!isTerminal(before.state)) continue;
      const { also } = fold(before, left.get(before.id) ?? []);
      left.delete(before.id);
      // A later one stands as it is, whoever put it there: `also` is made of this record and the last that came.
      if (also !== null && also !== before.also)
        updates.push({
          updateOne: { filter: { _id: before.id }, update: { $set: { also: storedAlso(also) } } },
        });
    }
    if (updates.length > 0) await runs.bulkWrite(updates, { ordered: false });
    return left;
  }

  return {
    async save(records: readonly Run[]): Promise<void> {
      let problem: Error | null = null;
      let left: Map<string, readonly Run[]> = Map.groupBy(records.map(asStored), ({ id }) => id);
      for (let round = 0; left.size > 0; round++) {
        if (round === mostRounds)
          throw new HistoryError(
            'unavailable',
            `${left.size} records change while they are saved; try again`,
          );
        const { ended, refused } = await put(left);
        left = ended.length === 0 ? new Map() : await putBeside(left, ended);
        problem ??= refused;
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
          .hint('job')
          .toArray(),
        runs
          .find({ group, name, until: { $gte: at }, instant: { $lt: at } })
          .sort({ until: 1 })
          .hint('until')
          .limit(5)
          .toArray(),
      ]);
      return [...own, ...around].map(runOf);
    },
    async latest(jobs: readonly string[]): Promise<Map<string, Run>> {
      const found = new Map<string, Run>();
      const last = async (job: string) => {
        const [group = '', name = ''] = job.split('/');
        const [document] = await runs
          .find({ group, name })
          .sort({ order: -1 })
          .hint('job')
          .limit(1)
          .toArray();
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

function withoutId({ _id, ...rest }: RunDocument): Omit<RunDocument, '_id'> {
  return rest;
}
