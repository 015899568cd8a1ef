import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { Run } from '#core/model/run.ts';
import type { Page, RunQuery } from '#core/ports/history.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { type Walk, walkedIndex, walksOf } from '../run-walks.ts';

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
      const rows = walksOf(query).flatMap((walk) => ask(walk));
      rows.sort(newerFirst);
      const items = rows.slice(0, query.limit);
      const last = items.at(-1);
      const more = rows.length > items.length && last !== undefined;
      return { items: items.map(readRun), next: more ? encodeCursor(keyOf(last)) : null };
    },
    /** For tests: how SQLite would find what a query asks for. */
    plan: (query: RunQuery): string[] =>
      walksOf(query).flatMap((walk) => ask(walk, 'EXPLAIN QUERY PLAN').map((row) => String(row.detail))),
  };
}

export function readRun(row: Row): Run {
  return JSON.parse(String(row.body));
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
    sql: `SELECT due, attempt, seq, body FROM run INDEXED BY ${indexes[walkedIndex(query)]} ${where} ${newestFirst} LIMIT ?`,
    values,
  };
}

const indexes: Record<Walk, string> = {
  due: 'run_due',
  group: 'run_group',
  job: 'run_job',
  state: 'run_state',
  worker: 'run_worker',
  trigger: 'run_cause',
};

function keyOf(row: Row): [due: number, attempt: number, seq: number] {
  return [Number(row.due), Number(row.attempt), Number(row.seq)];
}

function newerFirst(a: Row, b: Row): number {
  const [dueA, attemptA, seqA] = keyOf(a);
  const [dueB, attemptB, seqB] = keyOf(b);
  return dueB - dueA || attemptB - attemptA || seqB - seqA;
}
