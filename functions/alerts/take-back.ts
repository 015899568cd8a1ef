import { decodeJob } from '#core/cluster/job-record.ts';
import { readMany } from '#core/cluster/read-many.ts';
import { jobRecovery } from '#core/decide/alerts/recovery.ts';
import { type Alert, fleetNotices } from '#core/model/alert.ts';
import { parseJobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import type { DeliverDeps } from './deliver.ts';

type TakeBackDeps = Pick<DeliverDeps, 'kv' | 'layout' | 'history'>;

/** So many alerts are looked at in one go; where more stand, the next look goes on behind them. */
const pageAlerts = 500;

export const isOfFleet = ({ kind }: Pick<Alert, 'kind'>): boolean =>
  (fleetNotices as readonly string[]).includes(kind);

/**
 * Looks at alerts about jobs, from behind `after` on, whether what they tell is over, and says so. Answers where to go on; '' from the
 * beginning. Two at once say the same: the notice goes into the outbox before the alerts are ended, and its id is theirs.
 */
export async function takeBack(deps: TakeBackDeps, after: string): Promise<string> {
  const { history } = deps;
  const page = await history.openAlerts({ after, limit: pageAlerts });
  const next = page.length < pageAlerts ? '' : (page.at(-1)?.about ?? '');
  const abouts = [...new Set(page.filter((one) => !isOfFleet(one)).map(({ about }) => about))];
  if (abouts.length === 0) return next;
  // Once more, each as a whole: the page may have cut the last one in two.
  const open = (await history.openAlerts({ abouts })).filter((one) => !isOfFleet(one));
  const [jobs, last, now] = await Promise.all([jobsOf(deps, open), lastRuns(deps, open), history.now()]);
  const recoveries = [...Map.groupBy(open, ({ about }) => about)].flatMap(([about, alerts]) => {
    const job = jobs.get(alerts[0]?.job ?? '');
    return job === undefined ? [] : [jobRecovery(alerts, job, last.get(about) ?? null, now)];
  });
  await history.addAlerts(recoveries.flatMap(({ notice }) => notice ?? []));
  await history.endAlerts(
    recoveries.flatMap(({ withdrawn }) => withdrawn),
    now,
    true,
  );
  await history.endAlerts(
    recoveries.flatMap(({ over }) => over),
    now,
    false,
  );
  return next;
}

/** Each job as it is now; null: it is gone. One that can't be read is left out. */
async function jobsOf(
  { kv, layout }: TakeBackDeps,
  alerts: readonly Alert[],
): Promise<Map<string, Job | null>> {
  const ids = [...new Set(alerts.flatMap(({ job }) => job ?? []))];
  const found = await readMany(
    kv,
    ids.map((id) => ({ key: layout.job(id) })),
    1,
  );
  const jobs = new Map<string, Job | null>();
  for (const [at, id] of ids.entries()) {
    const [entry] = found[at] ?? [];
    try {
      jobs.set(id, entry === undefined ? null : decodeJob(layout, entry).record.job);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // The watchdog names it; whether it is well nobody can say.
    }
  }
  return jobs;
}

/** The last run of what each alert is about: of the job, or where every worker runs it of that worker's. */
async function lastRuns({ history }: TakeBackDeps, alerts: readonly Alert[]): Promise<Map<string, Run>> {
  const abouts = [...new Set(alerts.map(({ about }) => about))];
  const found = await history.latest(abouts.filter((about) => !about.includes('~')));
  for (const about of abouts.filter((each) => each.includes('~'))) {
    const [job = '', worker = ''] = about.split('~');
    const { items } = await history.runs({ ...parseJobId(job), worker, limit: 1 });
    if (items[0] !== undefined) found.set(about, items[0]);
  }
  return found;
}
