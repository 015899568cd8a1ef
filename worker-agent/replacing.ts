import type { Batcher } from '#core/cluster/batch.ts';
import type { KillValue } from '#core/cluster/records.ts';
import type { JobId } from '#core/model/ids.ts';
import type { Entry } from '#core/ports/kv.ts';
import type { AgentDeps, Guard } from './context.ts';
import type { Mirror } from './mirror.ts';

const expiresMs = 86_400_000;

/** Asks that what lives in a lane be killed, as a person would (overlap: replace). */
export function replacing(
  deps: Pick<AgentDeps, 'clock' | 'layout'> & { mirror: Mirror; keeps: Batcher; guard: Guard },
): (job: JobId, running: readonly Entry[]) => void {
  const { clock, layout, mirror, keeps, guard } = deps;
  return (job, running) => {
    for (const entry of running) {
      const run = entry.key.slice(entry.key.lastIndexOf('/') + 1);
      if (mirror.kills.has(run)) continue;
      const at = clock.now();
      const value: KillValue = {
        by: 'overlap: replace',
        at,
        expiresAt: at + expiresMs,
        signalledAt: null,
        confirmedAt: null,
        signal: null,
        graceMs: null,
      };
      const key = layout.kill(run);
      const piece = {
        job,
        txn: {
          compare: [
            { key: entry.key, target: 'create' as const, op: '>' as const, revision: '0' },
            { key, target: 'create' as const, op: '=' as const, revision: '0' },
          ],
          then: [{ type: 'put' as const, key, value: JSON.stringify(value) }],
        },
      };
      guard('replace', keeps.submit(piece));
    }
  };
}
