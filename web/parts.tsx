import { useQuery } from '@tanstack/preact-query';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Job } from '#core/model/job.ts';
import { reasonOf } from '#core/model/run.ts';
import type { Client, Me, Page, Run } from './api.ts';

/** What every page gets. */
export interface Shared extends Client {
  me: Me;
  go(path: string): void;
}

const colours: Record<string, string> = {
  succeeded: 'success',
  running: 'primary',
  claimed: 'info',
  waiting: 'info',
  failed: 'danger',
  timed_out: 'danger',
  lost: 'danger',
  killed: 'warning',
  missed: 'warning',
  skipped: 'secondary',
  cancelled: 'secondary',
};

export function State({ of }: { of: string }) {
  return <span class={`badge text-bg-${colours[of] ?? 'secondary'}`}>{of.replace('_', ' ')}</span>;
}

/** In the reader's zone, by its name: a job's own may be another. */
export const localText = (at: string) => new Date(at).toLocaleString(undefined, { timeZoneName: 'short' });

/** A time in the reader's zone, with UTC at hand. */
export function Time({ at }: { at: string | null }) {
  if (at === null) return <span class="text-body-secondary">-</span>;
  return (
    <time dateTime={at} title={at}>
      {localText(at)}
    </time>
  );
}

/** How far off a time is, counting: that it comes, that it was, or that something lasts since. */
export function Until({ at, say = 'in' }: { at: string | null; say?: 'in' | 'ago' | 'for' }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  if (at === null) return <span class="text-body-secondary">none</span>;
  const ms = say === 'in' ? Date.parse(at) - now : now - Date.parse(at);
  return (
    <time class="text-nowrap" dateTime={at} title={`${localText(at)} (${at})`}>
      {ms < 0 ? 'now' : say === 'ago' ? `${roughly(ms)} ago` : `${say} ${roughly(ms)}`}
    </time>
  );
}

function roughly(ms: number): string {
  const s = Math.round(ms / 1_000);
  if (s < 120) return `${s} s`;
  if (s < 7_200) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3_600)} h` : `${Math.round(s / 86_400)} days`;
}

/** How long a run took, as exactly as it matters. */
export function took(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 120
    ? `${minutes} min ${Math.floor((ms % 60_000) / 1_000)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function Link({
  to,
  go,
  children,
  ...more
}: {
  to: string;
  go(path: string): void;
  children: ComponentChildren;
  class?: string;
  'aria-current'?: 'page' | undefined;
}) {
  return (
    <a
      {...more}
      href={to}
      onClick={(event) => {
        // A new tab or window is the browser's to open.
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        go(to);
      }}
    >
      {children}
    </a>
  );
}

export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function Fault({ error }: { error: unknown }) {
  if (error === null || error === undefined) return null;
  return (
    <div class="alert alert-danger" role="alert">
      {textOf(error)}
    </div>
  );
}

/** What stands where a page's content will be: that it comes, or why not. */
export function Coming({ error }: { error: unknown }) {
  if (error !== null && error !== undefined) return <Fault error={error} />;
  return (
    <p class="text-body-secondary" aria-live="polite">
      Loading ...
    </p>
  );
}

/** A list of the API's, page by page, kept up to date. Another `path`, as of another search, begins at its first page. */
export function usePages<T>(call: Client['call'], path: string, refetchInterval: number) {
  const [walk, setWalk] = useState<{ path: string; cursors: string[] }>({ path, cursors: [] });
  const cursors = walk.path === path ? walk.cursors : [];
  const cursor = cursors.at(-1);
  const query = useQuery({
    queryKey: [path, cursor],
    queryFn: () =>
      call<Page<T>>('GET', cursor === undefined ? path : `${path}&cursor=${encodeURIComponent(cursor)}`),
    refetchInterval,
    // What was there stays until what comes is there; that there was nothing would pass for the answer.
    placeholderData: (before: Page<T> | undefined) => (before?.items.length === 0 ? undefined : before),
  });
  const next = query.data?.next ?? null;
  const turn = (label: string, to: string[], disabled = false) => (
    <button
      type="button"
      class="btn btn-outline-secondary"
      disabled={disabled}
      onClick={() => setWalk({ path, cursors: to })}
    >
      {label}
    </button>
  );
  const pager = (cursors.length > 0 || next !== null) && (
    <div class="d-flex gap-2 my-3">
      {cursors.length > 0 && turn('Back', cursors.slice(0, -1))}
      {/* Until a page is there, what stands in its place says where that one goes on. */}
      {next !== null && turn('More', [...cursors, next], query.isPlaceholderData)}
    </div>
  );
  return { items: query.data?.items, error: query.error, next, isFirst: cursors.length === 0, pager };
}

/** What the tab and a reader of the screen say of where one is. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === '' ? 'cronfleet' : `${title} · cronfleet`;
  }, [title]);
}

/** A job as people call it: its group only where it is not the usual one. */
export function jobTitle(group: string, name: string): string {
  return group === 'default' ? name : `${group}/${name}`;
}

/** What a job executes, as a shell would be told: the arguments of a list in quotes where they need them. */
export function commandOf({ command, argv }: Pick<Job, 'command' | 'argv'>): string {
  const quoted = (one: string) => `'${one.replaceAll("'", `'\\''`)}'`;
  return command ?? (argv ?? []).map((one) => (/^[\w@%+=:,./-]+$/.test(one) ? one : quoted(one))).join(' ');
}

/** What to do when a job fails, as somebody has written it down elsewhere. */
export function Runbook({ url }: { url: string }) {
  return (
    <a href={url} target="_blank" rel="noreferrer">
      {url}
    </a>
  );
}

/** What a schedule says, as far as one line can. */
export function Schedule({ of }: { of: string | string[] | null }) {
  return of === null ? <>by hand</> : <code>{Array.isArray(of) ? of.join(' | ') : of}</code>;
}

/** What people call a job by that the API names `group/name`. */
export function JobLink({ id, go }: { id: string; go(path: string): void }) {
  const [group = '', name = ''] = id.split('/');
  return (
    <Link to={`/jobs/${group}/${name}`} go={go}>
      {jobTitle(group, name)}
    </Link>
  );
}

export function may(me: Me, role: Me['role']): boolean {
  const order = ['viewer', 'operator', 'editor', 'admin'];
  return order.indexOf(me.role) >= order.indexOf(role);
}

/** Of a phone's width there is room for what became of it and when; the rest is on the run's own page. */
const wide = 'd-none d-md-table-cell';

export function Runs({ runs, go }: { runs: Run[]; go(path: string): void }) {
  if (runs.length === 0) return <p class="text-body-secondary">No runs yet.</p>;
  return (
    <div class="table-responsive">
      <table class="table table-sm align-middle">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Instant</th>
            <th scope="col" class={wide}>
              Started
            </th>
            <th scope="col">Took</th>
            <th scope="col" class={wide}>
              Worker
            </th>
            <th scope="col" class={wide}>
              Reason
            </th>
            <th scope="col">Output</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <RunRow key={run.id} run={run} go={go} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The page of a job on which it is said what became of an instant, and why. */
export function whyPath({ group, name }: { group: string; name: string }, instant: string): string {
  return `/jobs/${group}/${name}?${new URLSearchParams({ why: instant })}`;
}

/** What somebody may ask about in a list. */
const asksWhy = ['skipped', 'missed', 'lost'];

function RunRow({ run, go }: { run: Run; go(path: string): void }) {
  const reason = run.count > 1 ? `${run.count} instants: ${run.reason}` : reasonOf(run);
  return (
    <tr>
      <td>
        <State of={run.state} />
        {reason !== '' && <div class="d-md-none small text-break">{reason}</div>}
      </td>
      <td>{run.instant === null ? `by ${run.by ?? 'hand'}` : <Time at={run.instant} />}</td>
      <td class={wide}>
        <Time at={run.startedAt} />
      </td>
      <td class="text-nowrap">{run.durationMs === null ? '-' : took(run.durationMs)}</td>
      <td class={wide}>{run.worker ?? '-'}</td>
      <td class={`${wide} text-break`}>{reason}</td>
      <td>
        {run.startedAt === null && run.endedAt !== null ? null : (
          <Link to={`/runs/${run.id}`} go={go}>
            log
          </Link>
        )}{' '}
        {run.instant !== null && asksWhy.includes(run.state) && (
          <Link to={whyPath(run, run.instant)} go={go}>
            why
          </Link>
        )}
      </td>
    </tr>
  );
}
