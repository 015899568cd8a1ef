import type { Context } from 'hono';
import type { AppDeps, Caller, Env } from './deps.ts';

/** Writes who did what. A change stands even where its audit can't be written: the fault is told in the log. */
export async function audit(
  { c, deps, caller }: { c: Context<Env>; deps: AppDeps; caller: Caller },
  what: string,
  entry: { job?: string; target: string; before?: unknown; after?: unknown },
): Promise<void> {
  const requestId = c.get('requestId');
  try {
    await deps.history.addAudit({
      ...{ id: deps.ids.id(), at: deps.clock.now(), who: caller.name, what, requestId, target: entry.target },
      ...{ job: entry.job ?? null, before: entry.before ?? null, after: entry.after ?? null },
    });
  } catch (error) {
    deps.events.emit({ type: 'http.fault', method: c.req.method, path: c.req.path, requestId, error });
  }
}
