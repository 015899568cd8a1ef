import type { Collection, Filter } from 'mongodb';
import { MongoServerError } from 'mongodb';
import type { AuditEntry, History, Page } from '#core/ports/history.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { layoutVersion } from './layout.ts';
import { orderFrom } from './run-document.ts';

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
      const walks = walksOf(query).map(({ index, filter }) =>
        audits
          .find(filter)
          .sort({ order: -1 })
          .hint(index)
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
function walksOf(query: Query): { index: string; filter: Filter<AuditDocument> }[] {
  const { from, to, who, job, groups, cursor } = query;
  const below: string[] = [];
  if (to !== undefined) below.push(orderFrom(to));
  if (cursor !== undefined) below.push(String(decodeCursor(cursor, ['string'])[0]));
  const [lowest] = below.sort();
  const order = {
    ...(from === undefined ? {} : { $gte: orderFrom(from) }),
    ...(lowest === undefined ? {} : { $lt: lowest }),
  };
  const base = {
    ...(Object.keys(order).length === 0 ? {} : { order }),
    ...(who === undefined ? {} : { who }),
    ...(job === undefined ? {} : { job }),
  };
  const seen = groups === undefined ? undefined : [null, ...new Set(groups)];
  const index = job !== undefined ? 'job' : who !== undefined ? 'who' : undefined;
  if (seen === undefined) return [{ index: index ?? 'order', filter: base }];
  if (index !== undefined) return [{ index, filter: { ...base, group: { $in: seen } } }];
  return seen.map((group) => ({ index: 'group', filter: { ...base, group } }));
}
