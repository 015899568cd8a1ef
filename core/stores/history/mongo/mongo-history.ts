import { type Db, MongoNotConnectedError, MongoTopologyClosedError } from 'mongodb';
import type { WorkerLoad } from '#core/model/worker.ts';
import type { Clock } from '#core/ports/clock.ts';
import { type History, HistoryError } from '#core/ports/history.ts';
import { searchLogs } from '../log-search.ts';
import { logWaiters } from '../log-waiters.ts';
import { type AlertDocument, alertsCollection, type DeliveryDocument } from './alerts.ts';
import { type AuditDocument, auditCollection } from './audit.ts';
import { layoutVersion, makeLayout } from './layout.ts';
import { type LogDocument, logsCollection } from './logs.ts';
import { mongoError } from './mongo-error.ts';
import { mongoPlace } from './place.ts';
import type { RunDocument } from './run-document.ts';
import { listRuns } from './run-list.ts';
import { runsCollection } from './runs.ts';
import { searchSource } from './search-source.ts';
import { readStats } from './stats.ts';

/** Below the shipper's own 15 s, so that it hears why; the driver's deadlines make an end to what was given up. */
const callMs = 12_000;
/** What reads a lot, in many short calls. */
const longCallMs = 25_000;
/** How often who waits for a log looks: another process may have written it, and live output is to be half a second late at most. */
const lookMs = 250;
/** A database that somebody drops gets its layout back by then. */
const layoutMs = 60_000;

interface LoadDocument {
  _id: string;
  v: number;
  at: Date;
  load: WorkerLoad;
}

/**
 * The ledger, the logs and the audit in a MongoDB database. It connects when first asked, so it can be opened while the server is
 * away; layout.ts is done before anything else, once it answers. Every call ends within 25 s, mostly 12, and a HistoryError
 * names the place, what was asked and what to do. Reference time is the server's clock. Expiry is the server's.
 */
export function mongoHistory({ url, clock }: { url: string; clock: Clock }): History {
  const { client, database, text } = mongoPlace(url);
  return historyIn(client.db(database), {
    ...{ clock, place: text, close: () => client.close() },
    async reopen() {
      await client.close();
      await client.connect();
    },
  });
}

/** That, in a database which somebody else has connected to. */
export function historyIn(
  db: Db,
  {
    clock,
    place,
    close,
    reopen,
  }: { clock: Clock; place: string; close(): Promise<void>; reopen?(): Promise<void> },
): History {
  const records = db.collection<RunDocument>('runs');
  const runs = runsCollection(records);
  const logs = logsCollection(db.collection<LogDocument>('logs'));
  const alerts = alertsCollection(
    db.collection<AlertDocument>('alerts'),
    db.collection<DeliveryDocument>('meta'),
  );
  const audits = auditCollection(db.collection<AuditDocument>('audit'));
  const loads = db.collection<LoadDocument>('workers');
  const waiting = logWaiters(clock);
  let made: Promise<void> | undefined;
  let lookAt = 0;
  let closing: Promise<void> | undefined;
  let opening: Promise<void> | undefined;

  /** A driver that has met a server it can't speak to, too old say, closes itself for good, whatever becomes of the server. */
  function openAgain(error: unknown): void {
    const isShut = error instanceof MongoTopologyClosedError || error instanceof MongoNotConnectedError;
    if (!isShut || reopen === undefined || closing !== undefined) return;
    // What it says is said to the next call, too.
    opening ??= reopen()
      .catch(() => {})
      .finally(() => {
        opening = undefined;
      });
  }

  /** Does `work`, which nothing waits for longer than `ms`. */
  async function bounded<T>(what: string, work: () => Promise<T>, ms = callMs): Promise<T> {
    if (closing !== undefined) throw new HistoryError('unavailable', `history ${place}: is closed`);
    const late = Promise.withResolvers<never>();
    const cancel = clock.after(ms, () =>
      late.reject(
        new HistoryError('unavailable', `history ${place}: cannot ${what}: no answer within ${ms} ms`),
      ),
    );
    try {
      return await Promise.race([opening === undefined ? work() : opening.then(work), late.promise]);
    } catch (error) {
      openAgain(error);
      throw mongoError(place, what, error);
    } finally {
      cancel();
    }
  }

  /** That, once the layout is there. */
  const ask = <T>(what: string, work: () => Promise<T>, ms = callMs): Promise<T> =>
    bounded(
      what,
      () => {
        if (clock.boot() >= lookAt) made = undefined;
        if (made === undefined) lookAt = clock.boot() + layoutMs;
        made ??= makeLayout(db, place).catch((error: unknown) => {
          // The next call tries again.
          made = undefined;
          throw error;
        });
        return made.then(work);
      },
      ms,
    );

  return {
    async now() {
      // Of a server that takes nothing the time can be had all the same, and without it nobody claims.
      const { localTime } = await bounded('tell the time', () => db.command({ hello: 1 }));
      return (localTime as Date).getTime();
    },
    async saveRuns(given) {
      if (given.length === 0) return;
      await ask('save records', () => runs.save(given));
      for (const { id } of given) waiting.wake(id);
    },
    async saveLogs(chunks) {
      await ask('save output', () => logs.save(chunks));
      for (const run of new Set(chunks.map((chunk) => chunk.run))) waiting.wake(run);
    },
    run: (id) => ask('read a run', () => runs.one(id)),
    runs: (query) => ask('list runs', () => listRuns(records, query)),
    covering: (group, name, instant) => ask('read runs', () => runs.covering(group, name, instant)),
    latest: (jobs) => ask('read runs', () => runs.latest(jobs)),
    log: (run, from, maxBytes) => ask('read a log', () => logs.read(run, from, maxBytes)),
    search: (query) =>
      ask('search logs', () => searchLogs(searchSource(records, logs, query), query, turn), longCallMs),
    stats: (query) => ask('sum up runs', () => readStats(records, query), longCallMs),
    addAudit: (entry) => ask('keep who did what', () => audits.add(entry)),
    audit: (query) => ask('read who did what', () => audits.list(query)),
    addAlerts: (given) => ask('save alerts', () => alerts.add(given)),
    alerts: (query) => ask('list alerts', () => alerts.list(query)),
    claimAlerts: (claim) => ask('take alerts', () => alerts.claim(claim)),
    settleAlerts: (by, progress) => ask('settle alerts', () => alerts.settle(by, progress)),
    openAlerts: (query) => ask('read alerts', () => alerts.open(query)),
    endAlerts: (ids, at, untold) => ask('end alerts', () => alerts.end(ids, at, untold)),
    toldSince: (since) => ask('read alerts', () => alerts.toldSince(since)),
    saveLoad: (load) =>
      ask('save load figures', async () => {
        const document = { v: layoutVersion, at: new Date(load.at), load };
        await loads.replaceOne({ _id: load.id }, document, { upsert: true });
      }),
    loads: (workers) =>
      ask('read load figures', async () => {
        const which = workers === undefined ? {} : { _id: { $in: [...workers] } };
        return (await loads.find(which).sort({ _id: 1 }).toArray()).map(({ load }) => load);
      }),
    expire: async () => 0,
    waitForLog: (run, ms, stop) => waiting.wait(run, Math.min(ms, lookMs), stop),
    close() {
      waiting.wakeAll();
      closing ??= close();
      return closing;
    },
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
