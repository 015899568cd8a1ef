import { useQuery } from '@tanstack/preact-query';
import { Fragment } from 'preact';
import { useState } from 'preact/hooks';
import type { Job } from '#core/model/job.ts';
import type { JobView, Run } from './api.ts';
import { JobForm } from './job-form.tsx';
import { LogSearch } from './log-search.tsx';
import {
  Coming,
  commandOf,
  Fault,
  jobTitle,
  may,
  Runbook,
  Runs,
  Schedule,
  type Shared,
  Time,
  Until,
  usePages,
  useTitle,
} from './parts.tsx';
import { Why } from './why.tsx';

export function JobPage(props: Shared & { group: string; name: string; search: string }) {
  const { call, me, go, group, name, search } = props;
  const path = `/jobs/${encodeURIComponent(group)}/${encodeURIComponent(name)}`;
  useTitle(jobTitle(group, name));
  const [editing, setEditing] = useState<JobView | null>(null);
  const [fault, setFault] = useState<unknown>(null);
  /** Until a run that was asked for is there: who clicks twice wants one. */
  const [ordering, setOrdering] = useState(false);
  const {
    data: view,
    error,
    refetch,
  } = useQuery({
    queryKey: ['job', group, name],
    queryFn: () => call<JobView>('GET', path),
    refetchInterval: 2_000,
  });
  const runs = usePages<Run>(
    call,
    `/runs?${new URLSearchParams({ limit: '30', job: `${group}/${name}` })}`,
    2_000,
  );
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
  if (view === undefined)
    return (
      <>
        <h1 class="h3">{jobTitle(group, name)}</h1>
        <Coming error={error} />
      </>
    );
  const { job, paused, next, running } = view;
  // An attempt that waits has no record in the list of runs yet.
  const listed = new Set(runs.items?.map(({ id }) => id));
  const waiting = runs.isFirst ? running.filter(({ id }) => !listed.has(id)) : [];
  return (
    <>
      <div class="d-flex flex-wrap gap-2 mb-3 align-items-center">
        <h1 class="h3 mb-0 col-12 col-sm">{jobTitle(group, name)}</h1>
        {may(me, 'operator') && (
          <>
            <button
              type="button"
              class="btn btn-success"
              disabled={ordering}
              onClick={() => {
                setOrdering(true);
                const order = act('POST', '/run', ({ run }) => run && go(`/runs/${run}`), {});
                void order().finally(() => setOrdering(false));
              }}
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
                onClick={() => {
                  const reason = prompt('Why is it paused? Others will see it; it may be left out.', '');
                  if (reason !== null)
                    void act('POST', '/pause', () => void refetch(), reason === '' ? {} : { reason })();
                }}
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
          <code class="command">{commandOf(job)}</code>
          {job.argv !== null && <> without a shell</>}
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
                  <Time at={at} />{' '}
                  <small class="text-body-secondary">
                    <Until at={at} />
                  </small>
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
        <About job={job} />
      </dl>
      <h2 class="h5">Runs</h2>
      <LogSearch {...{ call, go, path, search }} page={`/jobs/${group}/${name}`} />
      <Why {...{ call, go, group, name, search }} />
      {runs.items === undefined ? <Coming error={runs.error} /> : <Fault error={runs.error} />}
      {runs.items && <Runs runs={[...waiting, ...runs.items]} go={go} />}
      {runs.pager}
    </>
  );
}

/** What a job gets to read, such as what stands behind a % in a crontab. */
function Input({ text }: { text: string }) {
  return (
    <section
      class="stdin border rounded p-2 bg-body-tertiary"
      aria-label="Input"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and who has no mouse scrolls it by keys.
      tabIndex={0}
    >
      <pre class="mb-0">{text}</pre>
    </section>
  );
}

/** What else somebody has said of a job, or set in it. */
function About({ job }: { job: Job }) {
  const { description, owner, tags, runbook, timeout, retry, overlap, mode, target } = job;
  const { command, shell, cwd, env, stdin } = job;
  const labels = Object.entries(target.labels).map(([key, value]) => `${key}=${[value].flat().join(' or ')}`);
  const where = [...labels, ...target.workers].join(', ');
  const said = {
    Description: description,
    Owner: owner,
    Tags: tags.join(', '),
    Runbook: runbook === null ? '' : <Runbook url={runbook} />,
    Shell: command === null || shell === '/bin/sh' ? '' : <code>{shell}</code>,
    'Working directory': cwd === null ? '' : <code>{cwd}</code>,
    Environment:
      Object.keys(env).length === 0
        ? ''
        : Object.entries(env).map(([key, value]) => (
            <div key={key}>
              <code class="command">{`${key}=${value}`}</code>
            </div>
          )),
    Input: stdin === null ? '' : <Input text={stdin} />,
    Timeout: timeout ?? '',
    Retries: retry.attempts === 0 ? '' : `${retry.attempts}, the first after ${retry.backoff}`,
    Overlap: overlap === 'skip' ? '' : overlap,
    Where: mode === 'all' ? `on every worker${where && ` of ${where}`}` : where,
  };
  return Object.entries(said).map(
    ([name, value]) =>
      value !== '' && (
        <Fragment key={name}>
          <dt class="col-sm-2">{name}</dt>
          <dd class="col-sm-10">{value}</dd>
        </Fragment>
      ),
  );
}
