import { applyJobs } from '#core/cluster/apply.ts';
import { checkJob } from '#core/cluster/check-job.ts';
import type { JobStore } from '#core/cluster/job-record.ts';
import { oneLane } from '#core/cluster/keys.ts';
import type { CursorValue } from '#core/cluster/records.ts';
import { jobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import type { Op } from '#core/ports/kv.ts';

const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Tokyo'];

/**
 * A store as it is after some time: so many jobs, each with its cursor. None is due soon: what is looked at is jobs, not their runs.
 * `worker` is who decided last.
 */
export async function fillWithJobs(store: JobStore, count: number, worker: string): Promise<void> {
  const { kv, layout, now } = store;
  const all = Array.from({ length: count }, (_, n) => job(n, now()));
  for (let from = 0; from < count; from += 1_000) {
    const some = all.slice(from, from + 1_000);
    await applyJobs(store, some, { by: 'bench', dryRun: false, prune: null });
    for (let at = 0; at < some.length; at += 100)
      await kv.txn({ compare: [], then: some.slice(at, at + 100).map(cursorOf) });
  }

  function cursorOf({ group, name }: Job): Op {
    const instant = now();
    const run = `${group}~${name}~${new Date(instant).toISOString().replace(/[-:]/g, '')}~1`;
    const value: CursorValue = { instant, from: worker, why: 'run', run };
    return { type: 'put', key: layout.cursor(jobId(group, name), oneLane), value: JSON.stringify(value) };
  }
}

/** At a minute of its own, three days from now whatever the zone. */
function job(n: number, now: number): Job {
  const minute = n % 1_440;
  const weekday = (new Date(now).getUTCDay() + 3) % 7;
  return checkJob({
    group: `team-${n % 40}`,
    name: `job-${n}`,
    description: 'What the crontab line said above it',
    command: `/usr/local/bin/task-${n} --quiet --config /etc/tasks/${n}.yaml`,
    schedule: `${minute % 60} ${Math.floor(minute / 60)} * * ${weekday}`,
    timezone: zones[n % zones.length],
    tags: ['nightly'],
    owner: 'ops@example.org',
    timeout: '1h',
  });
}
