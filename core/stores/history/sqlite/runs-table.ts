import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { durationOf, lateMs, type Run } from '#core/model/run.ts';
import type { History, Page, RunQuery, StatsBucket } from '#core/ports/history.ts';
import { transaction } from '../../sqlite/transaction.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { keepFirst } from '../keep-first.ts';

const order = 'ORDER BY due DESC, attempt DESC, id DESC';

function dueOf(run: Run): number {
  return run.instant ?? run.plannedAt ?? run.startedAt ?? run.endedAt ?? 0;
}

/** The ledger: one row a run. */
export function runsTable(db: DatabaseSync) {
  const get = db.prepare('SELECT body FROM run WHERE id = ?');
  const put = db.prepare('INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const own = db.prepare(`SELECT body FROM run WHERE grp = ? AND name = ? AND instant = ? ${order}`);
  const around = db.prepare(
    'SELECT body FROM run WHERE grp = ? AND name = ? AND until >= ? AND instant < ? ORDER BY until LIMIT 5',
  );
  const latest = db.prepare(`SELECT body FROM run WHERE grp = ? AND name = ? ${order} LIMIT 1`);
  const expired = db.prepare('SELECT id FROM run WHERE expire <= ? LIMIT 500');
  const drop = db.prepare('DELETE FROM run WHERE id = ?');
  const dropLog = db.prepare('DELETE FROM log WHERE run = ?');

  const read = (row: Record<string, unknown>): Run => JSON.parse(String(row.body));
  const one = (id: string): Run | null => {
    const row = get.get(id);
    return row === undefined ? null : read(row);
  };

  function save(run: Run): void {
    const { id, group, name, state, worker, trigger, attempt, instant, until, count, expireAt } = run;
    const late = trigger === 'schedule' && attempt === 1 ? lateMs(run) : null;
    put.run(
      id,
      group,
      name,
      state,
      worker,
      trigger,
      dueOf(run),
      attempt,
      instant,
      until,
      count,
      durationOf(run),
      late,
      expireAt,
      JSON.stringify(run),
    );
  }

  /** The query's conditions, each on a column that an index begins with or that is looked at along one. */
  function where(query: RunQuery): { sql: string; values: SQLInputValue[] } {
    const parts: string[] = [];
    const values: SQLInputValue[] = [];
    const add = (sql: string, ...given: SQLInputValue[]) => {
      parts.push(sql);
      values.push(...given);
    };
    if (query.group !== undefined) add('grp = ?', query.group);
    if (query.name !== undefined) add('name = ?', query.name);
    if (query.worker !== undefined) add('worker = ?', query.worker);
    if (query.state !== undefined) add('state = ?', query.state);
    if (query.trigger !== undefined) add('cause = ?', query.trigger);
    if (query.from !== undefined) add('due >= ?', query.from);
    if (query.to !== undefined) add('due < ?', query.to);
    // The unary plus keeps the index in order of time: of several groups it would have to be sorted.
    if (query.groups !== undefined)
      add(`+grp IN (${query.groups.map(() => '?').join(', ')})`, ...query.groups);
    if (query.cursor !== undefined)
      add('(due, attempt, id) < (?, ?, ?)', ...decodeCursor(query.cursor, ['number', 'number', 'string']));
    return { sql: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, values };
  }

  return {
    one,
    save(runs: readonly Run[]): void {
      transaction(db, () => {
        for (const run of runs) {
          const kept = keepFirst(one(run.id), run);
          if (kept !== null) save(kept);
        }
      });
    },
    list(query: RunQuery): Page<Run> {
      const { sql, values } = where(query);
      const runs = db
        .prepare(`SELECT body FROM run ${sql} ${order} LIMIT ?`)
        .all(...values, query.limit + 1)
        .map(read);
      const items = runs.slice(0, query.limit);
      const last = items.at(-1);
      const more = runs.length > items.length && last !== undefined;
      return { items, next: more ? encodeCursor([dueOf(last), last.attempt, last.id]) : null };
    },
    /** For tests: how SQLite would find what a query asks for. */
    plan(query: RunQuery): string[] {
      const { sql, values } = where(query);
      return db
        .prepare(`EXPLAIN QUERY PLAN SELECT body FROM run ${sql} ${order} LIMIT ?`)
        .all(...values, query.limit)
        .map((row) => String(row.detail));
    },
    covering(group: string, name: string, instant: number): Run[] {
      return [...own.all(group, name, instant), ...around.all(group, name, instant, instant)].map(read);
    },
    latest(jobs: readonly string[]): Map<string, Run> {
      const found = new Map<string, Run>();
      for (const job of jobs) {
        const [group = '', name = ''] = job.split('/');
        const row = latest.get(group, name);
        if (row !== undefined) found.set(job, read(row));
      }
      return found;
    },
    stats({ groups, from, to, stepMs }: Parameters<History['stats']>[0]): StatsBucket[] {
      const only = groups === undefined ? '' : `AND grp IN (${groups.map(() => '?').join(', ')})`;
      const rows = db
        .prepare(`SELECT due, state, count, duration, late FROM run WHERE due >= ? AND due < ? ${only}`)
        .all(from, to, ...(groups ?? []));
      const steps = Array.from({ length: Math.ceil((to - from) / stepMs) }, (_, at) => ({
        at: from + at * stepMs,
        counts: {} as Record<string, number>,
        durations: [] as number[],
        lates: [] as number[],
      }));
      for (const row of rows) {
        const step = steps[Math.floor((Number(row.due) - from) / stepMs)];
        if (step === undefined) continue;
        const state = String(row.state);
        step.counts[state] = (step.counts[state] ?? 0) + Number(row.count);
        if (row.duration !== null) step.durations.push(Number(row.duration));
        if (row.late !== null) step.lates.push(Number(row.late));
      }
      return steps.map(({ at, counts, durations, lates }) => ({
        ...{ at, counts },
        ...{ durationP50: quantile(durations, 0.5), durationP99: quantile(durations, 0.99) },
        ...{ lateP50: quantile(lates, 0.5), lateP99: quantile(lates, 0.99) },
      }));
    },
    /** A slice at a time, so that nothing else waits long. */
    expire(now: number): number {
      const ids = expired.all(now).map((row) => String(row.id));
      transaction(db, () => {
        for (const id of ids) {
          drop.run(id);
          dropLog.run(id);
        }
      });
      return ids.length;
    },
  };
}

function quantile(values: number[], at: number): number | null {
  values.sort((a, b) => a - b);
  return values[Math.min(values.length - 1, Math.floor(values.length * at))] ?? null;
}
