import type { WorkerLoad } from '#core/model/worker.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { AuditEntry, History } from '#core/ports/history.ts';
import { openDatabase } from '../../sqlite/open-database.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { historyLayout } from './layout.ts';
import { logsTable } from './logs-table.ts';
import { runsTable } from './runs-table.ts';

/** The ledger, the logs and the audit in one SQLite file; `:memory:` for tests. Reference time is the host's own. */
export function sqliteHistory({
  file,
  clock,
}: {
  file: string;
  clock: Clock;
}): History & { plan: ReturnType<typeof runsTable>['plan'] } {
  const db = openDatabase(file, historyLayout, { exclusive: false });
  const runs = runsTable(db);
  const logs = logsTable(db);
  const waiting = new Map<string, Set<() => void>>();
  const addAudit = db.prepare('INSERT OR IGNORE INTO audit VALUES (?, ?, ?, ?, ?, ?)');
  const putLoad = db.prepare('INSERT OR REPLACE INTO load VALUES (?, ?)');
  const allLoads = db.prepare('SELECT body FROM load ORDER BY id');

  function grown(run: string): void {
    for (const wake of waiting.get(run) ?? []) wake();
  }

  return {
    plan: runs.plan,
    now: async () => clock.now(),
    async saveRuns(records) {
      runs.save(records);
      for (const { id } of records) grown(id);
    },
    async saveLogs(chunks) {
      logs.save(chunks);
      for (const run of new Set(chunks.map((chunk) => chunk.run))) grown(run);
    },
    run: async (id) => runs.one(id),
    runs: async (query) => runs.list(query),
    covering: async (group, name, instant) => runs.covering(group, name, instant),
    latest: async (jobs) => runs.latest(jobs),
    log: async (run, from, maxBytes) => logs.read(run, from, maxBytes),
    search: async (query) => logs.search(query),
    stats: async (query) => runs.stats(query),
    async addAudit(entry) {
      const group = entry.job?.split('/')[0] ?? null;
      addAudit.run(entry.id, entry.at, entry.who, entry.job, group, JSON.stringify(entry));
    },
    async audit(query) {
      const parts: string[] = [];
      const values: (string | number)[] = [];
      const add = (sql: string, ...given: (string | number)[]) => {
        parts.push(sql);
        values.push(...given);
      };
      if (query.from !== undefined) add('at >= ?', query.from);
      if (query.to !== undefined) add('at < ?', query.to);
      if (query.who !== undefined) add('who = ?', query.who);
      if (query.job !== undefined) add('job = ?', query.job);
      if (query.groups !== undefined)
        add(`(grp IS NULL OR +grp IN (${query.groups.map(() => '?').join(', ')}))`, ...query.groups);
      if (query.cursor !== undefined)
        add('(at, id) < (?, ?)', ...decodeCursor(query.cursor, ['number', 'string']));
      const where = parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`;
      const rows = db
        .prepare(`SELECT body FROM audit ${where} ORDER BY at DESC, id DESC LIMIT ?`)
        .all(...values, query.limit + 1);
      const found = rows.map((row): AuditEntry => JSON.parse(String(row.body)));
      const items = found.slice(0, query.limit);
      const last = items.at(-1);
      return {
        items,
        next: found.length > items.length && last !== undefined ? encodeCursor([last.at, last.id]) : null,
      };
    },
    async saveLoad(load) {
      putLoad.run(load.id, JSON.stringify(load));
    },
    loads: async () => allLoads.all().map((row): WorkerLoad => JSON.parse(String(row.body))),
    async expire(now) {
      logs.expire(now);
      return runs.expire(now);
    },
    waitForLog(run, ms, stop) {
      return new Promise((resolve) => {
        if (stop.aborted) return resolve();
        const wakers = waiting.get(run) ?? new Set();
        waiting.set(run, wakers);
        const done = () => {
          cancel();
          stop.removeEventListener('abort', done);
          wakers.delete(done);
          if (wakers.size === 0) waiting.delete(run);
          resolve();
        };
        const cancel = clock.after(ms, done);
        wakers.add(done);
        stop.addEventListener('abort', done, { once: true });
      });
    },
    async close() {
      for (const wakers of waiting.values()) for (const wake of [...wakers]) wake();
      db.close();
    },
  };
}
