import { useQuery } from '@tanstack/preact-query';
import type { ComponentChildren } from 'preact';
import type { AlertKind } from '#core/model/alert.ts';
import type { Alert, Client, Forecast, Page, Run } from './api.ts';
import { alertsEveryMs, openAlertsPath } from './open-alerts.tsx';
import { JobLink, jobTitle, Link, type Shared, State, Time, Until } from './parts.tsx';

const wrong = ['failed', 'timed_out', 'lost', 'missed'] as const;
/** What a run's own state tells already. */
const ofRuns: readonly AlertKind[] = wrong;
const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** Of each list this much is shown, and of each state this much is asked for. */
const shownRows = 5;
const askedRuns = 50;

type Asking = Pick<Shared, 'call' | 'go'>;

/** What whoever looks in wants to know first: what went wrong and why, what is overdue, what runs, what comes. */
export function Overview({ call, go }: Asking) {
  const from = () => new Date(Date.now() - dayMs).toISOString();
  const failed = useQuery({
    queryKey: ['went wrong'],
    queryFn: async () => {
      const asked = wrong.map((state) => runsIn(call, { state, from: from(), limit: String(askedRuns) }));
      return await Promise.all(asked);
    },
    refetchInterval: 5_000,
  });
  const running = useQuery({
    queryKey: ['running'],
    queryFn: () => runsIn(call, { state: 'running', limit: String(shownRows) }),
    refetchInterval: 5_000,
  });
  const alerts = useQuery({
    queryKey: [openAlertsPath, undefined],
    queryFn: () => call<Page<Alert>>('GET', openAlertsPath),
    refetchInterval: alertsEveryMs,
  });
  const next = useQuery({
    queryKey: ['forecast'],
    queryFn: async () => {
      const began = Date.now();
      const to = new Date(began + hourMs).toISOString();
      const { first } = await call<Forecast>('GET', `/forecast?to=${to}`);
      return { first, tookMs: Date.now() - began };
    },
    // Every job is looked at for it: where there are many, it is asked for less often.
    refetchInterval: ({ state }) => Math.max(10_000, 30 * (state.data?.tookMs ?? 0)),
  });
  const pages = failed.data ?? [];
  const byJob = Map.groupBy(
    pages.flatMap(({ items }) => items).sort(youngerFirst),
    ({ group, name }) => `${group}/${name}`,
  );
  // What fails again and again may leave no room for what else failed: of that its alert tells, or this.
  const horizon = pages
    .flatMap(({ items, next }) => (next === null ? [] : (items.at(-1)?.instant ?? [])))
    .sort()
    .at(-1);
  const standing = (alerts.data?.items ?? []).filter(
    ({ kind, job }) => !(ofRuns.includes(kind) && byJob.has(job ?? '')),
  );
  return (
    <div class="row g-3 mb-4">
      <List
        title="Went wrong in the last 24 hours"
        wide
        known={failed.data !== undefined}
        error={failed.error}
      >
        {standing.slice(0, shownRows).map((alert) => (
          <Standing key={alert.id} {...alert} go={go} />
        ))}
        {[...byJob].slice(0, shownRows).map(([id, runs]) => (
          <Failed key={id} id={id} runs={runs} go={go} />
        ))}
        {(standing.length > shownRows || byJob.size > shownRows) && <li>and more</li>}
        {horizon !== undefined && (
          <li class="text-body-secondary">
            Of what was before <Time at={horizon} /> not all is here.
          </li>
        )}
      </List>
      <List title="Running" known={running.data !== undefined} error={running.error}>
        {running.data?.items.map((run) => (
          <li key={run.id} class="d-flex gap-2">
            <span class="me-auto text-break">
              <Link to={`/runs/${run.id}`} go={go}>
                {jobTitle(run.group, run.name)}
              </Link>
            </span>
            <Until at={run.startedAt ?? run.claimedAt} say="for" />
          </li>
        ))}
        {running.data?.next && <li class="text-body-secondary">and more</li>}
      </List>
      <List title="Next, within an hour" known={next.data !== undefined} error={next.error}>
        {next.data?.first.slice(0, shownRows).map(({ group, name, instant }) => (
          <li key={`${group}/${name}`} class="d-flex gap-2">
            <span class="me-auto text-break">
              <Link to={`/jobs/${group}/${name}`} go={go}>
                {jobTitle(group, name)}
              </Link>
            </span>
            <Until at={instant} />
          </li>
        ))}
      </List>
    </div>
  );
}

const runsIn = (call: Client['call'], query: Record<string, string>) =>
  call<Page<Run>>('GET', `/runs?${new URLSearchParams(query)}`);

/** When it was known what became of a run. */
const at = ({ endedAt, until, instant, plannedAt }: Run) => endedAt ?? until ?? instant ?? plannedAt;

function youngerFirst(a: Run, b: Run): number {
  return (at(b) ?? '').localeCompare(at(a) ?? '');
}

function List(props: {
  title: string;
  wide?: boolean;
  known: boolean;
  error: unknown;
  children: ComponentChildren;
}) {
  const { title, wide = false, known, error, children } = props;
  return (
    <section class={wide ? 'col-lg-6' : 'col-sm-6 col-lg-3'} aria-label={title}>
      <h2 class="h6">{title}</h2>
      <ul class="list-unstyled small overview mb-0">{children}</ul>
      <p class="small text-body-secondary overview-empty mb-0">
        {known ? 'Nothing.' : error ? 'Not known: the server does not say.' : 'Loading ...'}
      </p>
    </section>
  );
}

function Failed({ id, runs, go }: { id: string; runs: readonly Run[]; go: Shared['go'] }) {
  const [run] = runs;
  if (run === undefined) return null;
  return (
    <li>
      <State of={run.state} /> <JobLink id={id} go={go} />
      {run.reason !== '' && `: ${run.reason}`},{' '}
      <Link to={`/runs/${run.id}`} go={go}>
        <Until at={at(run)} say="ago" />
      </Link>
      {runs.length > 1 && (
        <span class="text-nowrap">
          {' '}
          × {runs.length}
          {runs.length < askedRuns ? '' : '+'}
        </span>
      )}
    </li>
  );
}

function Standing({ kind, title, job, run, worker, at, go }: Alert & { go: Shared['go'] }) {
  return (
    <li>
      <span class="badge text-bg-warning">{kind.replaceAll('_', ' ')}</span>{' '}
      <Link to={run ? `/runs/${run}` : job ? `/jobs/${job}` : worker ? '/workers' : '/alerts'} go={go}>
        {title}
      </Link>
      , <Until at={at} say="ago" />
    </li>
  );
}
