import type { Clock } from '#core/ports/clock.ts';
import { type History, HistoryError } from '#core/ports/history.ts';
import { openDatabase } from '../../sqlite/open-database.ts';
import { sqliteError } from '../../sqlite/sqlite-error.ts';
import { searchLogs } from '../log-search.ts';
import { logWaiters } from '../log-waiters.ts';
import { alertsTable } from './alerts-table.ts';
import { auditTable } from './audit-table.ts';
import { expiry } from './expiry.ts';
import { historyLayout } from './layout.ts';
import { loadsTable } from './loads-table.ts';
import { logsTable } from './logs-table.ts';
import { otherWriters } from './other-writers.ts';
import { runList } from './run-list.ts';
import { runsTable } from './runs-table.ts';
import { searchSource } from './search-source.ts';
import { readStats } from './stats.ts';

/** Pages of the index walks and of the rows they end at: a burst of runs otherwise reads them again for every save. */
const cacheKiB = 16_384;
/** A checkpoint copies each page once, however often it changed since the last: with 1,000, SQLite's own, each burst is one. */
const checkpointPages = 4_000;

/** A history, and for tests how it finds what a list asks for. */
export type SqliteHistory = History & Pick<ReturnType<typeof runList>, 'plan'>;

/**
 * The ledger, the logs and the audit in one SQLite file; `:memory:` for tests. Reference time is the host's own. Other
 * processes of this host may read and write the file meanwhile. Refusals on opening are openDatabase's; a write that the disk refuses throws an
 * Error that names the file, and has saved nothing.
 */
export function sqliteHistory({ file, clock }: { file: string; clock: Clock }): SqliteHistory {
  const db = openDatabase(file, historyLayout, { exclusive: false });
  db.exec(`PRAGMA cache_size = -${cacheKiB}; PRAGMA wal_autocheckpoint = ${checkpointPages}`);
  const runs = runsTable(db);
  const lists = runList(db);
  const logs = logsTable(db);
  const alerts = alertsTable(db);
  const audits = auditTable(db);
  const expired = expiry(db);
  const loads = loadsTable(db);
  const waiting = logWaiters(clock);
  const others = otherWriters(db, clock, waiting.wakeAll);
  let closed = false;

  return {
    plan: lists.plan,
    now: async () => clock.now(),
    async saveRuns(records) {
      writing(file, () => runs.save(records));
      for (const { id } of records) waiting.wake(id);
    },
    async saveLogs(chunks) {
      writing(file, () => logs.save(chunks));
      for (const run of new Set(chunks.map((chunk) => chunk.run))) waiting.wake(run);
    },
    run: async (id) => runs.one(id),
    runs: async (query) => lists.list(query),
    covering: async (group, name, instant) => runs.covering(group, name, instant),
    latest: async (jobs) => runs.latest(jobs),
    log: async (run, from, maxBytes) => logs.read(run, from, maxBytes),
    search: (query) => searchLogs(searchSource(db, query, turn), query, turn),
    stats: (query) => readStats(db, query, turn),
    addAudit: async (entry) => writing(file, () => audits.add(entry)),
    audit: async (query) => audits.list(query),
    addAlerts: async (given) => writing(file, () => alerts.add(given)),
    alerts: async (query) => alerts.list(query),
    claimAlerts: async (claim) => writing(file, () => alerts.claim(claim)),
    settleAlerts: async (by, progress) => writing(file, () => alerts.settle(by, progress)),
    openAlerts: async (query) => alerts.open(query),
    endAlerts: async (given, at, untold) => writing(file, () => alerts.end(given, at, untold)),
    toldSince: async (since) => alerts.toldSince(since),
    saveLoad: async (load) => writing(file, () => loads.save(load)),
    loads: async (workers) => loads.read(workers),
    async expire(now) {
      let gone = 0;
      for (let some: number | null = 0; some !== null && !closed; await turn()) {
        some = writing(file, () => expired.slice(now));
        gone += some ?? 0;
      }
      return gone;
    },
    waitForLog: (run, ms, stop) => others.during(() => waiting.wait(run, ms, stop)),
    async close() {
      if (closed) return;
      closed = true;
      waiting.wakeAll();
      others.close();
      db.close();
    },
  };
}

/** Everything here is synchronous: between two slices of something long, whatever else is due has its turn. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** SQLite's own errors do not say which file they are about. */
function writing<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const found = sqliteError(error);
    if (found === null) throw unbindable(error) ? unfit(file, error) : error;
    if (found.primary === 'CONSTRAINT' || found.primary === 'TOOBIG') throw unfit(file, error);
    throw new Error(`history ${file}: cannot write: ${found.text}`, { cause: error });
  }
}

/** A value that no column can hold, as node:sqlite says it. */
function unbindable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_INVALID_ARG_TYPE';
}

function unfit(file: string, cause: unknown): HistoryError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new HistoryError('unfit', `history ${file}: cannot write: ${text}`, { cause });
}
