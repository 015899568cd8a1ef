import type { Run } from '#core/model/run.ts';

/** When a run was due, UTC ms, which is what lists are sorted by: its instant, or when a manual run was asked for. */
export function dueOf(run: Run): number {
  return run.instant ?? run.plannedAt ?? run.startedAt ?? run.endedAt ?? 0;
}
