import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Call, Me, Run } from './api.ts';

/** What every page gets. */
export interface Shared {
  call: Call;
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

/** A time in the reader's zone, with UTC at hand. */
export function Time({ at }: { at: string | null }) {
  if (at === null) return <span class="text-body-secondary">-</span>;
  return (
    <time dateTime={at} title={at}>
      {new Date(at).toLocaleString()}
    </time>
  );
}

/** How far off a time is, counting. */
export function Until({ at }: { at: string | null }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  if (at === null) return <span class="text-body-secondary">none</span>;
  const s = Math.round((Date.parse(at) - now) / 1_000);
  const text =
    s < 0
      ? 'now'
      : s < 120
        ? `in ${s} s`
        : s < 7_200
          ? `in ${Math.round(s / 60)} min`
          : s < 172_800
            ? `in ${Math.round(s / 3_600)} h`
            : `in ${Math.round(s / 86_400)} days`;
  return (
    <time dateTime={at} title={`${new Date(at).toLocaleString()} (${at})`}>
      {text}
    </time>
  );
}

export function Link({
  to,
  go,
  children,
}: {
  to: string;
  go(path: string): void;
  children: ComponentChildren;
}) {
  return (
    <a
      href={to}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        go(to);
      }}
    >
      {children}
    </a>
  );
}

export function Fault({ error }: { error: unknown }) {
  if (error === null || error === undefined) return null;
  return (
    <div class="alert alert-danger" role="alert">
      {error instanceof Error ? error.message : String(error)}
    </div>
  );
}

export function may(me: Me, role: Me['role']): boolean {
  const order = ['viewer', 'operator', 'editor', 'admin'];
  return order.indexOf(me.role) >= order.indexOf(role);
}

export function Runs({ runs, go }: { runs: Run[]; go(path: string): void }) {
  if (runs.length === 0) return <p class="text-body-secondary">No runs yet.</p>;
  return (
    <div class="table-responsive">
      <table class="table table-sm align-middle">
        <thead>
          <tr>
            <th>State</th>
            <th>Instant</th>
            <th>Started</th>
            <th>Took</th>
            <th>Worker</th>
            <th>Reason</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id}>
              <td>
                <State of={run.state} />
              </td>
              <td>{run.instant === null ? run.trigger : <Time at={run.instant} />}</td>
              <td>
                <Time at={run.startedAt} />
              </td>
              <td>{run.durationMs === null ? '-' : `${(run.durationMs / 1_000).toFixed(2)} s`}</td>
              <td>{run.worker ?? '-'}</td>
              <td>{run.count > 1 ? `${run.count} instants: ${run.reason}` : run.reason}</td>
              <td>
                {run.startedAt === null && run.endedAt !== null ? null : (
                  <Link to={`/runs/${run.id}`} go={go}>
                    log
                  </Link>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
