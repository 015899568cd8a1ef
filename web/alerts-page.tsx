import type { AlertKind } from '#core/model/alert.ts';
import type { Alert } from './api.ts';
import { alertsEveryMs, openAlertsPath } from './open-alerts.tsx';
import {
  Coming,
  Fault,
  JobLink,
  Link,
  localText,
  may,
  type Shared,
  Time,
  usePages,
  useTitle,
} from './parts.tsx';

/** What wants somebody soon; what can wait is yellow. */
const grave: readonly AlertKind[] = [
  ...(['failed', 'timed_out', 'lost'] as const),
  ...(['worker_dead', 'no_worker', 'store_away'] as const),
];

export function AlertsPage({ call, me, go }: Shared) {
  useTitle('Alerts');
  const standing = usePages<Alert>(call, openAlertsPath, alertsEveryMs);
  const past = usePages<Alert>(call, '/alerts?open=false&limit=100', alertsEveryMs);
  const heads = new Set(standing.items?.map(({ id }) => id));
  const pastRows = rowsOf((past.items ?? []).filter(({ partOf }) => partOf === null || !heads.has(partOf)));
  return (
    <>
      <div class="d-flex gap-2 mb-3 align-items-center">
        <h1 class="h3 me-auto mb-0">Alerts</h1>
        {may(me, 'admin') && me.groups === null && (
          <button type="button" class="btn btn-outline-primary" onClick={() => go('/channels')}>
            Channels
          </button>
        )}
      </div>
      {standing.items === undefined ? <Coming error={standing.error} /> : <Fault error={standing.error} />}
      {standing.items?.length === 0 && standing.isFirst && (
        <div class="alert alert-success">Nothing is wrong, as far as anybody has asked to be told of it.</div>
      )}
      <List
        rows={(standing.items ?? []).map((alert) => ({
          alert,
          ...repeatsOf(alert, past.items ?? [], past.isFirst && past.next === null),
        }))}
        go={go}
      />
      {standing.pager}
      <h2 class="h5 mt-4">Past</h2>
      {past.items === undefined ? <Coming error={past.error} /> : <Fault error={past.error} />}
      {past.items !== undefined && pastRows.length === 0 && (
        <p class="text-body-secondary">
          {past.isFirst ? 'There has been none that is over.' : 'None here that is not told of above.'}
        </p>
      )}
      <List rows={pastRows} go={go} />
      {past.pager}
    </>
  );
}

interface Row {
  alert: Alert;
  /** How often the same has come up; `exact`: as often, and not as often at least. */
  count: number;
  exact: boolean;
  /** The youngest that repeats it. */
  last: Alert | null;
}

/** How often an alert that stands has come up again, as far as what is past is known here. */
function repeatsOf({ id, at }: Alert, past: readonly Alert[], isAll: boolean): Omit<Row, 'alert'> {
  const repeats = past.filter(({ partOf }) => partOf === id);
  // What repeats it is younger: where older ones are here, too, all of those are.
  const oldest = past.at(-1);
  const exact = isAll || (oldest !== undefined && oldest.at < at);
  return { count: repeats.length + 1, exact, last: repeats[0] ?? null };
}

/** One row of what is one: repeats go with what they repeat, or, where that is on another page, with each other. */
function rowsOf(alerts: readonly Alert[]): Row[] {
  const here = new Set(alerts.map(({ id }) => id));
  return [...Map.groupBy(alerts, ({ id, partOf }) => partOf ?? id)].flatMap(([id, alike]) => {
    const [newest] = alike;
    const alert = alike.find((one) => one.id === id) ?? newest;
    if (alert === undefined || newest === undefined) return [];
    const exact = here.has(id);
    return [{ alert, count: alike.length, exact, last: newest === alert ? null : newest }];
  });
}

function List({ rows, go }: { rows: readonly Row[]; go(path: string): void }) {
  if (rows.length === 0) return null;
  return (
    <ul class="list-group">
      {rows.map((row) => (
        <Item key={row.alert.id} {...row} go={go} />
      ))}
    </ul>
  );
}

function Item({ alert, count, exact, last, go }: Row & { go(path: string): void }) {
  const { kind, job, run, worker, title, text, at, open, endedAt } = alert;
  const colour = kind === 'recovered' ? 'success' : grave.includes(kind) ? 'danger' : 'warning';
  return (
    <li class="list-group-item">
      <div class="d-flex gap-2 align-items-start">
        <span
          class={`badge ${open ? `text-bg-${colour}` : `border border-${colour} text-${colour}-emphasis`}`}
        >
          {kind.replaceAll('_', ' ')}
        </span>
        <span class={`flex-grow-1 text-break ${open ? 'fw-semibold' : ''}`}>{title}</span>
        {(count > 1 || !exact) && (
          <span
            class="text-nowrap"
            title={exact ? `came up ${count} times` : `came up ${count} times or more`}
          >
            × {count}
            {exact ? '' : '+'}
          </span>
        )}
      </div>
      <div class="d-flex flex-wrap column-gap-3 small mt-1">
        {job !== null && (
          <span>
            job <JobLink id={job} go={go} />
          </span>
        )}
        {run !== null && (
          <Link to={`/runs/${encodeURIComponent(run)}`} go={go}>
            its run
          </Link>
        )}
        {worker !== null && (
          <span>
            worker{' '}
            <Link to="/workers" go={go}>
              {worker}
            </Link>
          </span>
        )}
        <span>
          {kind === 'recovered' || alert.partOf !== null ? 'at' : 'since'} <Time at={at} />
        </span>
        {last !== null && (
          <span>
            last <RunTime {...last} go={go} />
          </span>
        )}
        {endedAt !== null && kind !== 'recovered' && (
          <span class="text-success-emphasis">
            over <Time at={endedAt} />
          </span>
        )}
      </div>
      <Told alert={alert} />
      {text !== '' && (
        <details class="small">
          <summary>Details</summary>
          <pre class="command mb-0">{text}</pre>
        </details>
      )}
    </li>
  );
}

/** When something came up, by its run where it has one. */
function RunTime({ run, at, go }: Pick<Alert, 'run' | 'at'> & { go(path: string): void }) {
  if (run === null) return <Time at={at} />;
  return (
    <Link to={`/runs/${encodeURIComponent(run)}`} go={go}>
      <Time at={at} />
    </Link>
  );
}

/** Who has been told, who has not, and why not. */
function Told({ alert }: { alert: Alert }) {
  const { to, told, waits, problem, partOf } = alert;
  const left = to.filter((channel) => !told.some((one) => one.channel === channel));
  const why =
    problem !== null
      ? `Not delivered to ${problem}${waits ? '; it is tried again' : '; it was given up after a day'}`
      : partOf !== null
        ? 'Not told by itself: it repeats an earlier one'
        : to.length === 0
          ? 'Nobody is to be told of it'
          : left.length === 0
            ? ''
            : waits
              ? `To be told: ${left.join(', ')} (quiet hours, or gathered with others)`
              : `Not told: ${left.join(', ')}; it was over before`;
  return (
    <div class="small">
      {told.length > 0 && (
        <span class="me-3">
          Told{' '}
          {told.map(({ channel, at }, index) => (
            <span key={channel} title={`${localText(at)} (${at})`}>
              {index === 0 ? '' : ', '}
              {channel}
            </span>
          ))}
        </span>
      )}
      <span class={problem === null ? 'text-body-secondary' : 'text-danger-emphasis'}>{why}</span>
    </div>
  );
}
