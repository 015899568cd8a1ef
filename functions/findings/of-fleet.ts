import type { LastLook } from '#core/cluster/last-look.ts';
import type { LookOut } from '#core/cluster/look-out.ts';
import { compareRevisions } from '#core/ports/kv.ts';
import { error, type ServerFinding, some, warning } from './finding.ts';

/** The watchdog looks once a minute. */
const blindMs = 300_000;
/** A change has come to every worker long before. */
const arrivedMs = 10_000;
/** A live worker tells how it is every 5 s. */
const silentMs = 60_000;

/** What a look at the fleet shows to who asks now; `last`: the watchdog's own last look. Pure. */
export function fleetFindings(seen: LookOut, last: LastLook | null, version: string): ServerFinding[] {
  return [
    ...ofWatchdog(seen.at, last),
    ...ofJobs(seen),
    ...ofWorkers(seen, last),
    ...ofVersions(seen, version),
  ];
}

function ofWatchdog(now: number, last: LastLook | null): ServerFinding[] {
  if (last !== null && now - last.at <= blindMs) return [];
  const since = last === null ? 'yet' : `since ${new Date(last.at).toISOString()}`;
  // A fleet that has just been set up is nobody's trouble yet.
  const said = last === null ? warning : error;
  return [
    said(
      'watchdog_blind',
      `nobody has looked after the fleet ${since}: no alert is raised`,
      'a server looks a minute after its start, in the cloud the function watchdog does: look at its log',
    ),
  ];
}

function ofJobs({ overdue, unfit, unreadable, live, scheduled }: LookOut): ServerFinding[] {
  const found: ServerFinding[] = [];
  const named = (lanes: readonly { job: string }[]) => some([...new Set(lanes.map(({ job }) => job))]);
  const [late, stopped] = [true, false].map((is) => overdue.filter(({ ahead }) => (ahead === null) === is));
  if (late?.[0] !== undefined)
    found.push(
      error('overdue', `overdue: ${named(late)} (${late[0].why})`, 'cronfleet why JOB tells of each'),
    );
  if (stopped?.[0] !== undefined)
    found.push(
      error('cursor_ahead', `stand still: ${named(stopped)}`, `${stopped[0].job}: ${stopped[0].why}`),
    );
  // With nobody there it is everybody's trouble, and said as such.
  if (live > 0 && unfit.length > 0)
    found.push(
      error(
        'no_worker',
        `no worker fits ${some(unfit.map(({ job }) => job))}`,
        `change the job's target, or a worker's labels: ${unfit[0]?.why}`,
      ),
    );
  if (live === 0 && scheduled > 0)
    found.push(error('worker_none', `no worker is live: ${scheduled} scheduled jobs wait`, 'start an agent'));
  if (unreadable.length > 0)
    found.push(
      error(
        'job_unreadable',
        `can not be read, and so do not run: ${some(unreadable.map(({ key }) => key))}`,
        'save them again, or delete them',
      ),
    );
  return found;
}

function ofWorkers({ workers, dead, at, loadsKnown }: LookOut, last: LastLook | null): ServerFinding[] {
  const holding = dead.map(({ worker, runs }) =>
    error(
      'worker_dead',
      `${worker} is gone and holds ${some(runs)}`,
      'others close them within seconds: do they reach etcd? Look at that host',
    ),
  );
  return [
    ...holding,
    ...workers.flatMap(({ id, state, left, lastBeat, spool, revision }) => {
      if (state === 'dead')
        return left || !loadsKnown || dead.some(({ worker }) => worker === id)
          ? []
          : [warning('worker_dead', `${id} is dead, and did not say goodbye`, 'look at that host')];
      const found: ServerFinding[] = [];
      if (state === 'live' && loadsKnown && at - (lastBeat ?? 0) > silentMs)
        found.push(
          warning(
            'worker_silent',
            `${id} is registered, and tells the history nothing`,
            'its agent does not reach MongoDB: look at its log',
          ),
        );
      if ((spool ?? 0) > 0.5)
        found.push(
          error(
            'spool_half_full',
            `the spool of ${id} is ${Math.round((spool ?? 0) * 100)} % full`,
            'does MongoDB answer that host? When it is full output is dropped, then nothing is started',
          ),
        );
      if (last !== null && isBehind(revision, lastBeat, last))
        found.push(
          error(
            'worker_behind',
            `${id} stands at revision ${revision}, and a job was changed at ${last.newest}`,
            'restart that agent; running jobs live on',
          ),
        );
      return found;
    }),
  ];
}

/** Whether a worker told, well after a look had seen a revision of a job, that it had not. */
function isBehind(revision: string | null, lastBeat: number | null, { at, newest }: LastLook): boolean {
  if (revision === null || lastBeat === null || lastBeat - at < arrivedMs) return false;
  return compareRevisions(revision, newest) < 0;
}

function ofVersions({ workers }: LookOut, version: string): ServerFinding[] {
  const others = workers.filter((one) => one.state !== 'dead' && one.version !== version);
  if (others.length === 0) return [];
  const names = others.map((one) => `${one.id} ${one.version}`);
  return [
    warning(
      'versions_differ',
      `this server is version ${version}, others are not: ${some(names)}`,
      'bring all to one version: servers first, then agents',
    ),
  ];
}
