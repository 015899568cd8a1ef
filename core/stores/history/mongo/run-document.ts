import type { Document } from 'mongodb';
import { blankRun, durationOf, lateMs, type Run } from '#core/model/run.ts';
import { dueOf } from '../run-order.ts';
import { layoutVersion } from './layout.ts';
import { orderFrom } from './order.ts';

/** What a run and its kill hold as UTC ms stands in documents as a date, for people and their tools. */
const times = new Set([
  ...['instant', 'until', 'plannedAt', 'claimedAt', 'startedAt', 'endedAt', 'expireAt'],
  ...['requestedAt', 'signalledAt', 'confirmedAt'],
]);

export interface RunDocument extends Document {
  _id: string;
  /** How often it was changed; left out: never. */
  rev?: number;
  order: string;
}

/** As it is stored: what is null or '' is left out, and stands in `also` and `kill` all the same. */
export function documentOf(run: Run): RunDocument {
  const { id, ...fields } = run;
  const said = Object.entries(fields).filter(([, value]) => value !== null && value !== '');
  const duration = durationOf(run);
  const late = run.trigger === 'schedule' && run.attempt === 1 ? lateMs(run) : null;
  return {
    _id: id,
    v: layoutVersion,
    order: `${orderFrom(dueOf(run))}~${String(run.attempt).padStart(6, '0')}~${id}`,
    due: new Date(dueOf(run)),
    ...Object.fromEntries(said.map(([key, value]) => [key, stored(key, value)])),
    ...(duration === null ? {} : { duration }),
    ...(late === null ? {} : { late }),
  };
}

export function runOf({ _id, v, rev, order, due, duration, late, ...fields }: Document): Run {
  const known = Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, read(value)]));
  return blankRun({ ...(known as unknown as Run), id: _id });
}

/** A run as it will be read again: whole milliseconds, text that is Unicode. What is compared has to have been through this. */
export function asStored(run: Run): Run {
  return runOf(documentOf(run));
}

function stored(key: string, value: unknown): unknown {
  if (typeof value === 'number' && times.has(key)) return new Date(value);
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([inner, each]) => [inner, stored(inner, each)]));
}

function read(value: unknown): unknown {
  if (value instanceof Date) return value.getTime();
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([inner, each]) => [inner, read(each)]));
}
