import type { Layout } from '#core/cluster/keys.ts';
import { CursorValue, decode, JobValue, OwedValue, RunningValue } from '#core/cluster/records.ts';
import { fits } from '#core/decide/placement.ts';
import type { RunId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import type { Entry } from '#core/ports/kv.ts';
import type { Trouble } from '../fleet.ts';
import type { Host, Stamp } from '../host.ts';
import type { Scenario } from '../scenario.ts';
import type { SimHistory } from '../sim-history.ts';
import type { SimLog } from '../sim-log.ts';
import type { View } from '../view.ts';

export interface Violation {
  /** P1, P2, ... of the promises, or `fault`: something that must never be thrown was. */
  property: string;
  /** True ms since the beginning. */
  at: number;
  what: string;
}

/** What is known when everything is over. */
export interface Evidence {
  layout: Layout;
  log: SimLog;
  stamps: readonly Stamp[];
  history: SimHistory;
  hosts: readonly Host[];
  scenario: Scenario;
  troubles: readonly Trouble[];
  /** What the workers believed, some time after the last fault. */
  views: readonly View[];
  /** From then on nobody and nothing interfered. */
  calmAt: number;
  endAt: number;
}

export function runningOf(entry: Entry): RunningValue | null {
  const read = decode(RunningValue, entry);
  return read.ok ? read.value : null;
}

/**
 * Closed as lost it lives on, unseen: but not where its job has it killed with the lease, unless its host slept, and its warden with it.
 */
export function mayLiveOn({ run, plan, host }: Stamp, evidence: Evidence): boolean {
  const slept = evidence.hosts.some(({ id, slept: ms }) => id === host && ms > 0);
  return closedAsLost(run, evidence) && (plan.job.onLeaseLoss === 'continue' || slept);
}

export function closedAsLost(run: RunId, { log, layout, history }: Evidence): boolean {
  if (history.records.get(run)?.state === 'lost') return true;
  const key = layout.owing(run);
  return log.of(key).some(({ change }) => {
    if (change.type !== 'put') return false;
    const read = decode(OwedValue, change.entry);
    return read.ok && read.value.run.state === 'lost';
  });
}

export function cursorOf(entry: Entry): number | null {
  const read = decode(CursorValue, entry);
  return read.ok ? read.value.instant : null;
}

export function jobsAtEnd(log: SimLog, layout: Layout): JobRecord[] {
  return [...log.present.values()].flatMap((entry) => {
    if (!entry.key.startsWith(layout.jobs)) return [];
    const read = decode(JobValue, entry);
    return read.ok ? [read.value] : [];
  });
}

export function text(instant: number): string {
  return new Date(instant).toISOString();
}

/** The hosts that a job's target names. */
export function eligible(job: Job, { hosts, scenario }: Evidence): Host[] {
  return hosts.filter(({ id }, i) => fits(job, { id, labels: scenario.workers[i]?.labels ?? {} }));
}

/** Whether no request gets lost. */
export function isStill({ weather }: Scenario): boolean {
  const { refused, lost, replyLost, late, doubled } = weather;
  return [refused, lost, replyLost, late, doubled].every((odd) => odd === 0);
}

export function isWell({ troubles }: Evidence, host: string, from: number, to: number): boolean {
  return !troubles.some((one) => (one.host ?? host) === host && one.from <= to && one.to >= from);
}

/** Whether workers may be full: then some of what is due has to wait. */
export function isOverworked({ workers }: Scenario): boolean {
  return workers.some(({ capacity }) => capacity < 100);
}

/** A worker counts as one that nothing troubles when nothing has for so long. */
export const healthyMs = 25_000;
