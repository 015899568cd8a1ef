import type { Collection, Filter } from 'mongodb';
import { MongoBulkWriteError, MongoServerError } from 'mongodb';
import type { Alert, AlertProgress } from '#core/model/alert.ts';
import type { History, Page } from '#core/ports/history.ts';
import { encodeCursor } from '../cursor.ts';
import { lastTold, tellings } from '../told.ts';
import { layoutVersion } from './layout.ts';
import { unwritten } from './mongo-error.ts';
import { orderBetween, orderFrom } from './order.ts';

export interface AlertDocument extends Omit<Alert, 'id' | 'expireAt'> {
  _id: string;
  v: number;
  order: string;
  group: string | null;
  toldAt: number | null;
  expireAt: Date;
}

/** Who delivers at present, and until when nobody else does: one document for all alerts. */
export interface DeliveryDocument {
  _id: string;
  by: string;
  until: number;
}

const mostTold = 1_000;
const duplicateKey = 11_000;
const _id = 'delivery';

/** The outbox: one document a cause. `meta` holds whose turn it is to deliver. */
export function alertsCollection(alerts: Collection<AlertDocument>, meta: Collection<DeliveryDocument>) {
  async function deliver(by: string, now: number, until: number): Promise<boolean> {
    try {
      const free = { _id, $or: [{ by }, { until: { $lte: now } }] };
      await meta.updateOne(free, { $set: { by, until } }, { upsert: true });
      return true;
    } catch (error) {
      // It is there and not free, so it was to be made once more: somebody else delivers.
      if (error instanceof MongoServerError && error.code === duplicateKey) return false;
      throw error;
    }
  }
  const delivered = (by: string) => meta.updateOne({ _id, by }, { $set: { until: 0 } });

  return {
    async add(given: readonly Alert[]): Promise<void> {
      if (given.length === 0) return;
      try {
        await alerts.insertMany(given.map(documentOf), { ordered: false });
      } catch (error) {
        if (!(error instanceof MongoBulkWriteError)) throw error;
        // Those that were there already stay what they are.
        const { refused } = unwritten(error);
        if (refused !== null) throw refused;
      }
    },
    async list({ groups, open, limit, cursor }: Parameters<History['alerts']>[0]): Promise<Page<Alert>> {
      const base = {
        order: orderBetween(undefined, undefined, cursor),
        ...(open === undefined ? {} : { open }),
      };
      const filters: Filter<AlertDocument>[] =
        groups === undefined ? [base] : [...new Set(groups)].map((group) => ({ ...base, group }));
      const walks = filters.map((filter) =>
        alerts
          .find(filter)
          .sort({ order: -1 })
          .limit(limit + 1)
          .toArray(),
      );
      const found = (await Promise.all(walks)).flat().sort((a, b) => (a.order < b.order ? 1 : -1));
      const shown = found.slice(0, limit);
      const last = shown.at(-1);
      const more = found.length > shown.length && last !== undefined;
      return { items: shown.map(alertOf), next: more ? encodeCursor([last.order]) : null };
    },
    async claim({ by, now, until, limit }: Parameters<History['claimAlerts']>[0]): Promise<Alert[]> {
      const found = await alerts
        .find({ due: { $lte: now } })
        .project<{ _id: string }>({ _id: 1 })
        .sort({ due: 1 })
        .limit(limit)
        .toArray();
      if (found.length === 0 || !(await deliver(by, now, until))) return [];
      const ids = found.map(({ _id }) => _id);
      // Each document is compared and taken at once: one that somebody was quicker with is not due any more.
      await alerts.updateMany({ _id: { $in: ids }, due: { $lte: now } }, { $set: { due: until, by } });
      const taken = (await alerts.find({ _id: { $in: ids }, by }).toArray()).map(alertOf);
      // Between the look and its turn somebody else delivered them all.
      if (taken.length === 0) await delivered(by);
      return taken;
    },
    async settle(by: string, progress: readonly AlertProgress[]): Promise<void> {
      const changes = progress.map(({ id, ...change }) => ({
        updateOne: {
          filter: { _id: id, by },
          update: {
            $set: {
              ...{ ...change, by: null, toldAt: lastTold(change) },
              ...(change.partOf === null ? {} : { open: false }),
            },
          },
        },
      }));
      if (changes.length > 0) await alerts.bulkWrite(changes, { ordered: false });
      await delivered(by);
    },
    async open(query: Parameters<History['openAlerts']>[0]): Promise<Alert[]> {
      const found =
        'abouts' in query
          ? alerts.find({ open: true, about: { $in: [...new Set(query.abouts)] } }).sort({ about: 1 })
          : alerts
              .find({ open: true, about: { $gt: query.after } })
              .sort({ about: 1 })
              .limit(query.limit);
      return (await found.toArray()).map(alertOf);
    },
    async end(ids: readonly string[], at: number, untold: boolean): Promise<void> {
      if (ids.length === 0) return;
      const standing = { _id: { $in: [...ids] }, open: true };
      const ended = { open: false, endedAt: at };
      if (untold)
        await alerts.updateMany(
          { ...standing, told: { $size: 0 }, by: null },
          { $set: { ...ended, due: null } },
        );
      else await alerts.updateMany(standing, { $set: ended });
    },
    async toldSince(since: number) {
      const lately = alerts
        .find({ toldAt: { $gte: since } })
        .sort({ toldAt: -1 })
        .limit(mostTold);
      return tellings((await lately.toArray()).map(alertOf), since);
    },
  };
}

function documentOf({ id, expireAt, ...alert }: Alert): AlertDocument {
  return {
    ...{ _id: id, v: layoutVersion, order: `${orderFrom(alert.at)}~${id}` },
    group: alert.job?.split('/')[0] ?? null,
    ...alert,
    // Output may hold half a pair, which is no Unicode and would come back as something else.
    text: alert.text.toWellFormed(),
    toldAt: lastTold(alert),
    expireAt: new Date(expireAt),
  };
}

function alertOf({ _id, v, order, group, toldAt, expireAt, ...alert }: AlertDocument): Alert {
  return { id: _id, ...alert, expireAt: expireAt.getTime() };
}
