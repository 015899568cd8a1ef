import { oweAudits } from '#core/cluster/audits.ts';
import type { AuditEntry } from '#core/ports/history.ts';
import { inTime } from './in-time.ts';
import type { Asking } from './route.ts';

interface Deed {
  what: string;
  job?: string;
  target: string;
  before?: unknown;
  after?: unknown;
}

/** Writes who did what. A change stands even where its audit can't be written. */
export async function audit(asking: Asking, what: string, deed: Omit<Deed, 'what'>): Promise<void> {
  await auditAll(asking, [{ what, ...deed }]);
}

/**
 * That, of all that one request changed. What History does not take in time waits in the store of jobs, and nobody waits for it; where
 * that won't have it either, the fault is told in the log.
 */
export async function auditAll({ c, deps, caller }: Asking, deeds: readonly Deed[]): Promise<void> {
  const { kv, layout, history, clock, ids, events } = deps;
  const requestId = c.get('requestId');
  const left = deeds.map(
    ({ what, target, job = null, before = null, after = null }): AuditEntry => ({
      ...{ id: ids.id(), at: clock.now(), who: caller.name, what, requestId },
      ...{ job, target, before, after },
    }),
  );
  try {
    for (let entry = left[0]; entry !== undefined; entry = left[0]) {
      await inTime(clock, history.addAudit(entry));
      left.shift();
    }
  } catch (error) {
    events.emit({ type: 'http.fault', method: c.req.method, path: c.req.path, requestId, error });
    await oweAudits(kv, layout, left).catch((fault: unknown) =>
      events.emit({ type: 'http.fault', method: c.req.method, path: c.req.path, requestId, error: fault }),
    );
  }
}
