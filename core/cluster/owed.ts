import type { Stretch } from '#core/decide/due.ts';
import { durationMs } from '#core/model/duration.ts';
import { instantText, runId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import type { Op } from '#core/ports/kv.ts';
import { type Layout, oneLane } from './keys.ts';
import type { OwedValue } from './records.ts';

/** Leaves a record that History may not have yet; `by`: who decided it, at that time (UTC ms). */
export function owe(layout: Layout, run: Run, at: number, by: string): Op {
  const value = { run: { ...run }, at, by } satisfies OwedValue;
  return { type: 'put', key: layout.owing(run.id), value: JSON.stringify(value) };
}

/** The one record of instants of a lane that did not run, under the id that the first would have had. `worker`: whose word it is. */
export function stretchRecord(
  { group, name, retention }: Job,
  lane: string,
  { instant, until, count, state, reason }: Stretch,
  said: { worker: string | null; at: number },
): Run {
  const ofLane = lane === oneLane ? null : lane;
  return blankRun({
    ...{ id: runId({ group, name, cause: instantText(instant), attempt: 1, worker: ofLane }), group, name },
    ...{ state, reason, instant, until: count > 1 ? until : null, count, worker: said.worker },
    ...{ plannedAt: instant, endedAt: said.at, expireAt: said.at + durationMs(retention) },
  });
}
