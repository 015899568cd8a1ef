import { alertsOfRun } from '#core/decide/alerts/run-alerts.ts';
import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import type { Ledger } from './ledger.ts';

/**
 * A ledger to which each record goes with what its job's rules have to say of it, whoever writes it and however it ended: both reach the
 * disk in one piece, so no crash comes between them. Of a job that is gone nothing is said.
 */
export function alertingLedger(ledger: Ledger, jobOf: (job: JobId) => Job | null): Ledger {
  return {
    ...ledger,
    record: (runs) =>
      ledger.record(
        runs,
        runs.flatMap((run) => {
          const job = jobOf(jobId(run.group, run.name));
          return job === null ? [] : alertsOfRun(job, run);
        }),
      ),
  };
}
