import type { RunningValue } from '#core/cluster/records.ts';
import { durationMs } from '#core/model/duration.ts';
import type { Job } from '#core/model/job.ts';

/** What a running key tells keepers of the version that is claimed: how long after its worker's lease it may still be ended by its warden. */
export function leaseGrace({ onLeaseLoss, killGrace }: Job): Pick<RunningValue, 'graceMs'> {
  return onLeaseLoss === 'kill' ? { graceMs: durationMs(killGrace) } : {};
}
