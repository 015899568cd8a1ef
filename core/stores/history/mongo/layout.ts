import type { Db, Document, IndexDescription } from 'mongodb';
import { MongoServerError } from 'mongodb';
import { Refusal } from '#core/model/refusal.ts';
import { runStates, triggers } from '#core/model/run.ts';

/** Stands in every document as `v`. A change of what is below is a further version. */
export const layoutVersion = 2;

interface CollectionLayout {
  name: string;
  /** What a document must have, beside `_id` and `v`; further fields may stand there. */
  required: string[];
  properties: Record<string, Document>;
  indexes: (IndexDescription & { name: string })[];
}

const text = { bsonType: 'string' };
const number = { bsonType: ['int', 'long', 'double'] };
const date = { bsonType: 'date' };
const monthS = 30 * 86_400;

/**
 * `order` is what lists are sorted by, in one text that sorts as they do: when a run was due, its attempt, its id. So a page is one
 * range of one index, the thousandth like the first.
 *
 * What forgets is the server: `expire` ends a document at the time that stands in it, and never one that has none.
 */
const collections: readonly CollectionLayout[] = [
  {
    name: 'runs',
    required: ['order', 'due', 'group', 'name', 'state', 'trigger', 'attempt', 'count'],
    properties: {
      ...{ order: text, due: date, group: text, name: text, attempt: number, count: number },
      ...{ state: { enum: [...runStates] }, trigger: { enum: [...triggers] }, worker: text, tail: text },
      ...{ instant: date, until: date, startedAt: date, endedAt: date, expireAt: date },
      ...{ duration: number, late: number, bytes: number },
    },
    indexes: [
      // Sums over time are read along this one alone, too.
      {
        name: 'due',
        key: { order: 1, due: 1, group: 1, state: 1, count: 1, duration: 1, late: 1 },
      },
      { name: 'group', key: { group: 1, order: 1 } },
      { name: 'job', key: { group: 1, name: 1, order: 1 } },
      { name: 'state', key: { state: 1, order: 1 } },
      { name: 'worker', key: { worker: 1, order: 1 } },
      { name: 'trigger', key: { trigger: 1, order: 1 } },
      {
        name: 'until',
        key: { group: 1, name: 1, until: 1 },
        partialFilterExpression: { until: { $exists: true } },
      },
      { name: 'expire', key: { expireAt: 1 }, expireAfterSeconds: 0 },
    ],
  },
  {
    name: 'logs',
    required: ['run', 'offset', 'at', 'expireAt', 'data'],
    properties: { run: text, offset: number, at: date, expireAt: date, data: { bsonType: 'binData' } },
    indexes: [
      { name: 'offset', key: { run: 1, offset: 1 } },
      { name: 'expire', key: { expireAt: 1 }, expireAfterSeconds: 0 },
    ],
  },
  {
    name: 'audit',
    required: ['order', 'at', 'who', 'what', 'group', 'entry'],
    properties: { order: text, at: date, who: text, what: text, entry: text },
    indexes: [
      { name: 'order', key: { order: 1 } },
      { name: 'group', key: { group: 1, order: 1 } },
      { name: 'job', key: { job: 1, order: 1 } },
      { name: 'who', key: { who: 1, order: 1 } },
    ],
  },
  {
    name: 'alerts',
    required: ['order', 'kind', 'about', 'at', 'title', 'to', 'open', 'told', 'expireAt'],
    properties: {
      ...{ order: text, kind: text, about: text, title: text, text, at: number, expireAt: date },
      ...{ to: { bsonType: 'array' }, told: { bsonType: 'array' }, open: { bsonType: 'bool' } },
    },
    indexes: [
      { name: 'order', key: { order: 1 } },
      { name: 'group', key: { group: 1, order: 1 } },
      { name: 'open', key: { open: 1, order: 1 } },
      { name: 'about', key: { open: 1, about: 1 } },
      { name: 'due', key: { due: 1 } },
      { name: 'told', key: { toldAt: 1 } },
      { name: 'expire', key: { expireAt: 1 }, expireAfterSeconds: 0 },
    ],
  },
  {
    name: 'workers',
    required: ['at', 'load'],
    properties: { at: date, load: { bsonType: 'object' } },
    // A worker that has been away for a month will not come back under this name.
    indexes: [{ name: 'expire', key: { at: 1 }, expireAfterSeconds: monthS }],
  },
];

const namespaceExists = 48;

/**
 * Makes collections, their schemas, indexes and expiry, where that has not been done. Any number may do it at once, and again.
 * Refusals: `store_newer` where a later cronfleet has been here, `store_standalone` where there is no replica set.
 */
export async function makeLayout(db: Db, place: string): Promise<void> {
  const meta = db.collection<{ _id: string; v: number }>('meta');
  const made = (await meta.findOne({ _id: 'layout' }))?.v ?? 0;
  if (made > layoutVersion)
    throw new Refusal(
      'store_newer',
      `history ${place}: was written by a later cronfleet (layout ${made}, this one knows ${layoutVersion}); update this one`,
    );
  if (made === layoutVersion) return;
  const { setName, msg } = await db.command({ hello: 1 });
  // A router of a sharded cluster says so; all its shards are sets.
  if (setName === undefined && msg !== 'isdbgrid')
    throw new Refusal(
      'store_standalone',
      `history ${place}: is a single server; start it with --replSet NAME and run rs.initiate() once, one member will do: without that no write can be repeated safely`,
    );
  for (const { name, required, properties, indexes } of collections) {
    const validator = {
      $jsonSchema: {
        bsonType: 'object',
        required: ['_id', 'v', ...required],
        properties: { v: number, ...properties },
      },
    };
    try {
      await db.createCollection(name, { validator });
    } catch (error) {
      if (!(error instanceof MongoServerError && error.code === namespaceExists)) throw error;
      // Somebody made it a moment ago, or a step like this one was cut off.
      await db.command({ collMod: name, validator });
    }
    await db.collection(name).createIndexes(indexes);
  }
  // Last: what stands there says that all the rest was done.
  await meta.replaceOne({ _id: 'layout' }, { v: layoutVersion }, { upsert: true });
}
