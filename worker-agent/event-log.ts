import type { Logger } from 'pino';
import { Refusal } from '#core/model/refusal.ts';
import type { Event } from '#core/ports/events.ts';
import { HistoryError } from '#core/ports/history.ts';
import { KvError } from '#core/ports/kv.ts';

/** How loud each kind of event is; what is not named here is debug. */
const levels: Partial<Record<Event['type'], 'info' | 'warn' | 'error'>> = {
  'agent.registered': 'info',
  'agent.ready': 'info',
  'agent.lease_lost': 'warn',
  'agent.stopped': 'info',
  'agent.fault': 'error',
  'clock.off': 'error',
  'clock.right': 'info',
  'tzdata.apart': 'warn',
  'key.invalid': 'warn',
  'run.refused': 'warn',
  'run.ended': 'info',
  'run.adopted': 'info',
  'run.killed': 'info',
  'ledger.away': 'warn',
  'ledger.back': 'info',
  'spool.damaged': 'error',
  'spool.refused': 'error',
  'spool.full': 'error',
  'disk.full': 'error',
  'keeper.closed': 'warn',
  'watchdog.looked': 'info',
  'watchdog.overdue': 'warn',
  'watchdog.dead': 'warn',
  'alert.raised': 'warn',
  'alert.told': 'info',
  'alert.untold': 'error',
  'settings.changed': 'info',
  'settings.stale': 'error',
  'store.finding': 'warn',
  'store.away': 'warn',
  'store.back': 'info',
  'provider.finding': 'warn',
  'server.fault': 'error',
  'http.fault': 'error',
};

/** Writes events as structured logs: the event's type is the message, its fields are the fields. */
export function logEvent(logger: Logger, event: Event): void {
  const { type, ...fields } = event;
  const isGrave = 'severity' in event && event.severity === 'error';
  const level = isGrave ? 'error' : (levels[type] ?? 'debug');
  if (!logger.isLevelEnabled(level)) return;
  if (event.type === 'key.invalid') logger[level]({ ...fields, advice: adviceOn(event.key) }, type);
  else if (event.type === 'run.ended') {
    const { state, reason, exitCode, worker, startedAt, endedAt } = event.record;
    logger[level]({ run: event.run, state, reason, exitCode, worker, startedAt, endedAt }, type);
  } else if ('error' in fields) logger[level]({ ...fields, error: undefined, ...said(fields.error) }, type);
  else logger[level](fields, type);
}

/** What a store says, or we refuse, is all in its words: where in the code it was said helps nobody. */
function said(error: unknown): object {
  if (error instanceof HistoryError || error instanceof KvError || error instanceof Refusal)
    return { code: error.code, message: error.message };
  return { err: error };
}

/** What tells how far a job has been decided may not simply go: everything since its floor would be due again. */
function adviceOn(key: string): string {
  const [, kind, job] = /\/(cursors|running)\/([^/]+\/[^/]+)\//.exec(key) ?? [];
  const away = `etcdctl del ${key}`;
  if (kind === 'cursors')
    return `${job} stands still until it is mended: cronfleet pause ${job}, cronfleet resume ${job}, ${away}`;
  if (kind === 'running') return `${job} takes it for a run that lives; take it away: ${away}`;
  return `nobody heeds it; if nothing else needs it, take it away: ${away}`;
}
