import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import type { JobView, Page, Run } from './api.ts';
import { JobForm } from './job-form.tsx';
import { LogSearch } from './log-search.tsx';
import { Coming, Fault, jobTitle, may, Runs, Schedule, type Shared, Time, useTitle } from './parts.tsx';

export function JobPage(props: Shared & { group: string; name: string; search: string }) {
  const { call, me, go, group, name, search } = props;
  const path = `/jobs/${encodeURIComponent(group)}/${encodeURIComponent(name)}`;
  useTitle(jobTitle(group, name));
  const [editing, setEditing] = useState<JobView | null>(null);
  const [fault, setFault] = useState<unknown>(null);
  const {
    data: view,
    error,
    refetch,
  } = useQuery({
    queryKey: ['job', group, name],
    queryFn: () => call<JobView>('GET', path),
    refetchInterval: 2_000,
  });
  const runs = useQuery({
    queryKey: ['runs', group, name],
    queryFn: () =>
      call<Page<Run>>('GET', `/runs?${new URLSearchParams({ limit: '30', job: `${group}/${name}` })}`),
    refetchInterval: 2_000,
  });
  const act = (method: string, at: string, then: (answer: { run?: string }) => void, body?: unknown) => () =>
    call<{ run?: string }>(method, `${path}${at}`, body === undefined ? {} : { body }).then((answer) => {
      setFault(null);
      then(answer);
    }, setFault);
  if (editing !== null)
    return (
      <JobForm
        {...props}
        view={editing}
        go={(to) => {
          setEditing(null);
          void refetch();
          go(to);
        }}
      />
    );
  if (view === undefined) return <Coming error={error} />;
  const { job, paused, next, running } = view;
  // An attempt that waits has no record in the list of runs yet.
  const listed = new Set(runs.data?.items.map(({ id }) => id));
  const waiting = running.filter(({ id }) => !listed.has(id));
  return (
    <>
      <div class="d-flex flex-wrap gap-2 mb-3 align-items-center">
        <h1 class="h3 me-auto mb-0">{jobTitle(group, name)}</h1>
        {may(me, 'operator') && (
          <>
            <button
              type="button"
              class="btn btn-success"
              onClick={act('POST', '/run', ({ run }) => run && go(`/runs/${run}`), {})}
            >
              Run now
            </button>
            {paused ? (
              <button
                type="button"
                class="btn btn-warning"
                onClick={act('POST', '/resume', () => void refetch())}
              >
                Resume
              </button>
            ) : (
              <button
                type="button"
                class="btn btn-outline-secondary"
                onClick={act('POST', '/pause', () => void refetch(), {})}
              >
                Pause
              </button>
            )}
          </>
        )}
        {may(me, 'editor') && (
          <>
            <button type="button" class="btn btn-outline-primary" onClick={() => setEditing(view)}>
              Edit
            </button>
            <button
              type="button"
              class="btn btn-outline-danger"
              onClick={() =>
                confirm(`Delete ${group}/${name}? A living run lives on.`) &&
                void act('DELETE', '', () => go('/'))()
              }
            >
              Delete
            </button>
          </>
        )}
      </div>
      <Fault error={fault ?? error} />
      {paused && (
        <div class="alert alert-warning">
          Paused by {paused.by}
          {paused.reason && `: ${paused.reason}`}
          {paused.until && (
            <>
              {' '}
              until <Time at={paused.until} />
            </>
          )}
        </div>
      )}
      <dl class="row">
        <dt class="col-sm-2">Command</dt>
        <dd class="col-sm-10">
          <code class="command">{job.command ?? job.argv?.join(' ')}</code>
          {job.user !== null && <> as {job.user}</>}
        </dd>
        <dt class="col-sm-2">Schedule</dt>
        <dd class="col-sm-10">
          <Schedule of={job.schedule} /> {job.schedule !== null && job.timezone}
          {!job.enabled && <span class="badge text-bg-secondary">disabled</span>}
        </dd>
        <dt class="col-sm-2">Next</dt>
        <dd class="col-sm-10">
          {next.length === 0
            ? 'none'
            : next.map((at) => (
                <div key={at}>
                  <Time at={at} />
                </div>
              ))}
        </dd>
        {job.notify.length > 0 && (
          <>
            <dt class="col-sm-2">Tells</dt>
            <dd class="col-sm-10">
              {job.notify.map(({ on, to }) => (
                <div key={`${on} ${to}`}>
                  {to.join(', ')} when {on.map((kind) => kind.replace('_', ' ')).join(', ')}
                </div>
              ))}
            </dd>
          </>
        )}
        {job.description !== '' && (
          <>
            <dt class="col-sm-2">Description</dt>
            <dd class="col-sm-10">{job.description}</dd>
          </>
        )}
      </dl>
      <h2 class="h5">Runs</h2>
      <LogSearch {...{ call, go, path, search }} page={`/jobs/${group}/${name}`} />
      <Fault error={runs.error} />
      {runs.data && <Runs runs={[...waiting, ...runs.data.items]} go={go} />}
    </>
  );
}
