import { MongoClient, type MongoClientOptions } from 'mongodb';
import { refuse } from '#core/model/refusal.ts';

/** Where a history lies, as its URL says. */
export interface MongoPlace {
  client: MongoClient;
  database: string;
  /** For people: hosts and database, never the password. */
  text: string;
}

const selectionMs = 5_000;
const socketMs = 10_000;
const idleMs = 60_000;

/** A URL may say otherwise of these. Each is a deadline or a bound: without them a call to a server that is away waits for ever. */
const usual: MongoClientOptions = {
  appName: 'cronfleet',
  serverSelectionTimeoutMS: selectionMs,
  connectTimeoutMS: selectionMs,
  socketTimeoutMS: socketMs,
  waitQueueTimeoutMS: selectionMs,
  maxIdleTimeMS: idleMs,
  maxPoolSize: 20,
};

/** Of these it may not: what was acknowledged has to survive the loss of a member, and be read again by whoever wrote it. */
const fixed: MongoClientOptions = {
  writeConcern: { w: 'majority', journal: true },
  readPreference: 'primary',
  readConcern: { level: 'majority' },
  retryWrites: true,
  retryReads: true,
};

/** Reads the URL and connects to nothing yet. Refusal `store_url_invalid`, which does not tell the password. */
export function mongoPlace(url: string): MongoPlace {
  const [, scheme, userInfo, hosts, path, query = ''] =
    /^(mongodb(?:\+srv)?):\/\/(?:([^@/]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(url) ?? [];
  const database = decodeURIComponent(path || 'cronfleet');
  const text = `${scheme}://${userInfo === undefined ? '' : '***@'}${hosts}/${database}`;
  const said = new Set([...new URLSearchParams(query).keys()].map((key) => key.toLowerCase()));
  const unsaid = Object.entries(usual).filter(([key]) => !said.has(key.toLowerCase()));
  try {
    const client = new MongoClient(url, { ...Object.fromEntries(unsaid), ...fixed });
    return { client, database, text };
  } catch (error) {
    const shown = hosts === undefined ? url.replace(/\/\/.*@/, '//***@') : text;
    const why = error instanceof Error ? error.message.replaceAll(url, shown) : '';
    throw refuse(
      'store_url_invalid',
      'history',
      shown,
      `mongodb://[USER:PASSWORD@]HOST[:PORT][,HOST...][/DATABASE][?OPTIONS] or mongodb+srv://...${why && ` (${why})`}`,
    );
  }
}
