import { useState } from 'preact/hooks';
import type { JobView } from './api.ts';
import {
  Coming,
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

export function JobsPage({ call, me, go }: Shared) {
  useTitle('Jobs');
  const [q, setQ] = useState('');
  const search = new URLSearchParams({ limit: '50', ...(q === '' ? {} : { q }) });
  const { items, error, isFirst, pager } = usePages<JobView>(call, `/jobs?${search}`, 3_000);
  return (
    <>
      <div class="d-flex gap-2 mb-3 align-items-center">
        <h1 class="h3 me-auto mb-0">Jobs</h1>
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
      {items === undefined ? <Coming error={error} /> : <Fault error={error} />}
      {items?.length === 0 && isFirst && (
        <div class="alert alert-info">
          {q === '' ? (
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
      <td>
        <Link to={`/jobs/${job.group}/${job.name}`} go={go}>
          {jobTitle(job.group, job.name)}
        </Link>{' '}
        {!job.enabled && <span class="badge text-bg-secondary">disabled</span>}
        {paused && <span class="badge text-bg-warning">paused</span>}
        {running.length > 0 && <span class="badge text-bg-primary">{running.length} running</span>}
        <div class="d-md-none small">{schedule}</div>
      </td>
      <td class="d-none d-md-table-cell">{schedule}</td>
      <td class="text-nowrap">
        <Until at={next[0] ?? null} />
      </td>
      <td>
        <Last {...view} />
      </td>
    </tr>
  );
}

function Last({ last, away }: JobView) {
  if (last !== null) return <State of={last.state} />;
  if (away.length === 0) return <>-</>;
  return <span title="The history knows it, and does not answer the server at the moment">not known</span>;
}
