import type { Asking } from './route.ts';

/** Writes who did what. A change stands even where its audit can't be written: the fault is told in the log. */
export async function audit(
  { c, deps, caller }: Asking,
  what: string,
  entry: { job?: string; target: string; before?: unknown; after?: unknown },
): Promise<void> {
  const requestId = c.get('requestId');
  const { job = null, target, before = null, after = null } = entry;
  try {
    await deps.history.addAudit({
      ...{ id: deps.ids.id(), at: deps.clock.now(), who: caller.name, what, requestId },
      ...{ job, target, before, after },
    });
  } catch (error) {
    deps.events.emit({ type: 'http.fault', method: c.req.method, path: c.req.path, requestId, error });
  }
}
