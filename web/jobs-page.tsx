import { useState } from 'preact/hooks';
import type { Job } from '#core/model/job.ts';
import { reasonOf } from '#core/model/run.ts';
import type { JobView } from './api.ts';
import { Overview } from './overview.tsx';
import {
  Coming,
  commandOf,
  Fault,
  jobTitle,
  Link,
  may,
  Schedule,
  type Shared,
  State,
  Until,
  usePages,
  useTitle,
} from './parts.tsx';

const states = [
  'running',
  'failed',
  'timed_out',
  'lost',
  'missed',
  'killed',
  'skipped',
  'succeeded',
] as const;

export function JobsPage({ call, me, go }: Shared) {
  useTitle('Jobs');
  const [q, setQ] = useState('');
  const [state, setState] = useState('');
  const asked = { ...(q === '' ? {} : { q }), ...(state === '' ? {} : { state }) };
  const isAll = q === '' && state === '';
  const search = new URLSearchParams({ limit: '50', ...asked });
  const { items, error, isFirst, pager } = usePages<JobView>(
    call,
    `/jobs?${search}`,
    // For a state the server has to look at the last run of each job.
    state === '' ? 3_000 : 10_000,
  );
  return (
    <>
      <div class="d-flex flex-wrap flex-sm-nowrap gap-2 mb-3 align-items-center">
        <h1 class="h3 mb-0 col-12 col-sm">Jobs</h1>
        <select
          class="form-select states"
          aria-label="Last run"
          value={state}
          onChange={(event) => setState(event.currentTarget.value)}
        >
          <option value="">any state</option>
          {states.map((one) => (
            <option key={one} value={one}>
              {one.replace('_', ' ')}
            </option>
          ))}
        </select>
        <input
          class="form-control search"
          type="search"
          placeholder="Search"
          aria-label="Search jobs"
          value={q}
          onInput={(event) => setQ(event.currentTarget.value)}
        />
        {may(me, 'editor') && (
          <button type="button" class="btn btn-primary text-nowrap" onClick={() => go('/new')}>
            New job
          </button>
        )}
      </div>
      {isAll && isFirst && items !== undefined && items.length > 0 && <Overview {...{ call, go }} />}
      {items === undefined ? <Coming error={error} /> : <Fault error={error} />}
      {items?.length === 0 && isFirst && (
        <div class="alert alert-info">
          {isAll ? (
            <>
              No jobs yet. Make one, or take your crontab over:{' '}
              <code>crontab -l | npm run -s cli -- import -</code>
            </>
          ) : (
            'No job matches.'
          )}
        </div>
      )}
      {items !== undefined && items.length > 0 && (
        <div class="table-responsive">
          <table class="table table-hover align-middle">
            <thead>
              <tr>
                <th scope="col">Job</th>
                <th scope="col" class="d-none d-md-table-cell">
                  Schedule
                </th>
                <th scope="col">Next</th>
                <th scope="col">Last</th>
              </tr>
            </thead>
            <tbody>
              {items.map((view) => (
                <JobRow key={`${view.job.group}/${view.job.name}`} view={view} go={go} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {pager}
    </>
  );
}

function JobRow({ view, go }: { view: JobView; go(path: string): void }) {
  const { job, next, paused, running } = view;
  const schedule = (
    <>
      <Schedule of={job.schedule} />{' '}
      <small class="text-body-secondary">{job.schedule === null ? '' : job.timezone}</small>
    </>
  );
  return (
    <tr>
      <td class="job-name">
        <Link to={`/jobs/${job.group}/${job.name}`} go={go}>
          {jobTitle(job.group, job.name)}
        </Link>{' '}
        {!job.enabled && <span class="badge text-bg-secondary">disabled</span>}
        {paused && <span class="badge text-bg-warning">paused</span>}
        {running.length > 0 && <span class="badge text-bg-primary">{running.length} running</span>}
        <Says job={job} />
        <div class="d-md-none small">{schedule}</div>
      </td>
      <td class="d-none d-md-table-cell">{schedule}</td>
      <td class="text-nowrap">
        <Until at={next[0] ?? null} />
      </td>
      <td>
        <Last {...view} go={go} />
      </td>
    </tr>
  );
}

/** What a job is for, where somebody has said it, or what it does: many a name, such as an imported one, tells neither. */
function Says({ job }: { job: Job }) {
  const { description } = job;
  const text = description === '' ? commandOf(job) : description;
  return (
    <div
      class={`job-says small text-body-secondary ${description === '' ? 'font-monospace' : ''}`}
      title={text}
    >
      {text}
    </div>
  );
}

function Last({ last, away, go }: JobView & { go(path: string): void }) {
  if (last !== null)
    return (
      <>
        <div class="last">
          <Link to={`/runs/${last.id}`} go={go} class="text-decoration-none">
            <State of={last.state} />
          </Link>{' '}
          <small class="text-body-secondary">
            <Until at={last.endedAt ?? last.startedAt ?? last.instant} say="ago" />
          </small>
        </div>
        {last.state !== 'succeeded' && reasonOf(last) !== '' && (
          <div class="small text-break">{reasonOf(last)}</div>
        )}
      </>
    );
  if (away.length === 0) return <>-</>;
  return <span title="The history knows it, and does not answer the server at the moment">not known</span>;
}
