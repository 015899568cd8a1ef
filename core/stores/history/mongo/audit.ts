import type { Collection, Filter } from 'mongodb';
import { MongoServerError } from 'mongodb';
import type { AuditEntry, History, Page } from '#core/ports/history.ts';
import { encodeCursor } from '../cursor.ts';
import { layoutVersion } from './layout.ts';
import { orderBetween, orderFrom } from './order.ts';

export interface AuditDocument {
  _id: string;
  v: number;
  order: string;
  at: Date;
  who: string;
  what: string;
  job: string | null;
  group: string | null;
  /** The whole, as JSON: what was before and after may have any field, also such as no document may. */
  entry: string;
}

type Query = Parameters<History['audit']>[0];
const duplicateKey = 11_000;

/** Who did what. */
export function auditCollection(audits: Collection<AuditDocument>) {
  return {
    async add(entry: AuditEntry): Promise<void> {
      const { id, at, who, what, job } = entry;
      const group = job?.split('/')[0] ?? null;
      const order = `${orderFrom(at)}~${id}`;
      try {
        await audits.insertOne({
          ...{ _id: id, v: layoutVersion, order, at: new Date(at), who, what, job, group },
          entry: JSON.stringify(entry),
        });
      } catch (error) {
        if (!(error instanceof MongoServerError && error.code === duplicateKey)) throw error;
        // The same entry again.
      }
    },
    async list(query: Query): Promise<Page<AuditEntry>> {
      const walks = filtersOf(query).map((filter) =>
        audits
          .find(filter)
          .sort({ order: -1 })
          .limit(query.limit + 1)
          .toArray(),
      );
      const found = (await Promise.all(walks)).flat();
      if (walks.length > 1) found.sort((a, b) => (a.order < b.order ? 1 : -1));
      const shown = found.slice(0, query.limit);
      const last = shown.at(-1);
      const more = found.length > shown.length && last !== undefined;
      return {
        items: shown.map(({ entry }): AuditEntry => JSON.parse(entry)),
        next: more ? encodeCursor([last.order]) : null,
      };
    },
  };
}

/** Along the entries of a job or a person; or those of each group, and of none, which everybody sees. */
function filtersOf({ from, to, who, job, groups, cursor }: Query): Filter<AuditDocument>[] {
  const base = {
    order: orderBetween(from, to, cursor),
    ...(who === undefined ? {} : { who }),
    ...(job === undefined ? {} : { job }),
  };
  if (groups === undefined) return [base];
  const seen = [null, ...new Set(groups)];
  if (job !== undefined || who !== undefined) return [{ ...base, group: { $in: seen } }];
  return seen.map((group) => ({ ...base, group }));
}
