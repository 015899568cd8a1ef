import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { Run } from '#core/model/run.ts';
import type { Page, RunQuery } from '#core/ports/history.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';

type Row = Record<string, unknown>;

/** Newest first, as the end of a statement. */
export const newestFirst = 'ORDER BY due DESC, attempt DESC, seq DESC';

/** Lists of runs. */
export function runList(db: DatabaseSync) {
  const ask = (query: RunQuery, explain = ''): Row[] => {
    const { sql, values } = statementOf(query);
    return db.prepare(`${explain} ${sql}`).all(...values, query.limit + 1);
  };
  return {
    list(query: RunQuery): Page<Run> {
      const rows = walks(query).flatMap((walk) => ask(walk));
      rows.sort(newerFirst);
      const items = rows.slice(0, query.limit);
      const last = items.at(-1);
      const more = rows.length > items.length && last !== undefined;
      return { items: items.map(readRun), next: more ? encodeCursor(keyOf(last)) : null };
    },
    /** For tests: how SQLite would find what a query asks for. */
    plan: (query: RunQuery): string[] =>
      walks(query).flatMap((walk) => ask(walk, 'EXPLAIN QUERY PLAN').map((row) => String(row.detail))),
  };
}

export function readRun(row: Row): Run {
  return JSON.parse(String(row.body));
}

/**
 * The queries that together answer one. Where the walk would be along all runs, each of several groups gets a walk of its own:
 * otherwise SQLite would have to sort them, or to look through everybody's runs for those of a group that has none.
 */
function walks(query: RunQuery): RunQuery[] {
  const { groups, group, ...rest } = query;
  if (groups === undefined) return [query];
  if (group !== undefined) return groups.includes(group) ? [{ ...rest, group }] : [];
  const [first = '', ...others] = new Set(groups);
  if (groups.length === 0) return [];
  if (walkedIndex({ ...rest, group: first }) !== 'run_group') return [query];
  return [first, ...others].map((each) => ({ ...rest, group: each }));
}

function statementOf(query: RunQuery): { sql: string; values: SQLInputValue[] } {
  const parts: string[] = [];
  const values: SQLInputValue[] = [];
  const add = (sql: string, ...given: SQLInputValue[]) => {
    parts.push(sql);
    values.push(...given);
  };
  if (query.group !== undefined) add('grp = ?', query.group);
  else if (query.groups !== undefined)
    add(`grp IN (${query.groups.map(() => '?').join(', ')})`, ...query.groups);
  if (query.name !== undefined) add('name = ?', query.name);
  if (query.worker !== undefined) add('worker = ?', query.worker);
  if (query.state !== undefined) add('state = ?', query.state);
  if (query.trigger !== undefined) add('cause = ?', query.trigger);
  if (query.from !== undefined) add('due >= ?', query.from);
  if (query.to !== undefined) add('due < ?', query.to);
  if (query.cursor !== undefined)
    add('(due, attempt, seq) < (?, ?, ?)', ...decodeCursor(query.cursor, ['number', 'number', 'number']));
  const where = parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`;
  return {
    sql: `SELECT due, attempt, seq, body FROM run INDEXED BY ${walkedIndex(query)} ${where} ${newestFirst} LIMIT ?`,
    values,
  };
}

/**
 * The walk that is likely the shortest. SQLite keeps no statistics here and would guess: along the runs of a worker to find
 * those that failed, say, which are few.
 */
function walkedIndex({ group, name, state, worker, trigger }: RunQuery): string {
  const rare = state !== undefined && state !== 'succeeded';
  if (group !== undefined && name !== undefined) return 'run_job';
  if (rare) return 'run_state';
  if (trigger !== undefined && trigger !== 'schedule') return 'run_cause';
  if (group !== undefined) return 'run_group';
  if (worker !== undefined) return 'run_worker';
  if (state !== undefined) return 'run_state';
  return trigger === undefined ? 'run_due' : 'run_cause';
}

function keyOf(row: Row): [due: number, attempt: number, seq: number] {
  return [Number(row.due), Number(row.attempt), Number(row.seq)];
}

function newerFirst(a: Row, b: Row): number {
  const [dueA, attemptA, seqA] = keyOf(a);
  const [dueB, attemptB, seqB] = keyOf(b);
  return dueB - dueA || attemptB - attemptA || seqB - seqA;
}
