import { checkJob } from '#core/cluster/check-job.ts';
import { type JobStore, recordOf } from '#core/cluster/job-record.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { type CursorValue, encodeJob } from '#core/cluster/records.ts';
import { noLanes } from '#core/cluster/settle.ts';
import { jobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import type { Op } from '#core/ports/kv.ts';

const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Tokyo'];
/** Each is two keys, and a request puts a hundred. */
const jobsAtOnce = 50;
const requestsAtOnce = 8;

/**
 * A store as it is after some time: so many jobs, each with its cursor. None is due soon: what is looked at is jobs, not their runs.
 * `worker` is who decided last.
 */
export async function fillWithJobs(store: JobStore, count: number, worker: string): Promise<void> {
  const { kv, layout, now } = store;
  let next = 0;
  const send = async () => {
    while (next < count) {
      const from = next;
      next += jobsAtOnce;
      const some = Array.from({ length: Math.min(jobsAtOnce, count - from) }, (_, n) => job(from + n, now()));
      await kv.txn({ compare: [], then: some.flatMap(keysOf) });
    }
  };
  await Promise.all(Array.from({ length: requestsAtOnce }, send));

  function keysOf(one: Job): Op[] {
    const { group, name } = one;
    const id = jobId(group, name);
    const saved = { job: one, by: 'bench', revision: '0', cronExpr: null };
    const { record } = recordOf(store, null, saved, noLanes);
    const instant = now();
    const run = `${group}~${name}~${new Date(instant).toISOString().replace(/[-:]/g, '')}~1`;
    const cursor: CursorValue = { instant, from: worker, why: 'run', run };
    return [
      { type: 'put', key: layout.job(id), value: encodeJob(record) },
      { type: 'put', key: layout.cursor(id, oneLane), value: JSON.stringify(cursor) },
    ];
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
