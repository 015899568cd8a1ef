import { useState } from 'preact/hooks';
import type { Audited } from './api.ts';
import { Coming, Fault, JobLink, Link, type Shared, Time, usePages, useTitle } from './parts.tsx';

const filters = { who: 'Who', job: 'Job', from: 'From', to: 'To' } as const;
type Filters = Record<keyof typeof filters, string>;
const mostNames = 4;
const none: Filters = { who: '', job: '', from: '', to: '' };

/** Who changed what: the newest first, with what was before and after. */
export function AuditPage({ call, go }: Shared) {
  useTitle('Audit');
  const [typed, setTyped] = useState(none);
  const [asked, setAsked] = useState(none);
  const { items, error, isFirst, pager } = usePages<Audited>(call, `/audit?${queryOf(asked)}`, 5_000);
  return (
    <>
      <h1 class="h3">Audit</h1>
      <form
        class="row g-2 mb-3 align-items-end"
        onSubmit={(event) => {
          event.preventDefault();
          setAsked(typed);
        }}
      >
        {(['who', 'job', 'from', 'to'] as const).map((name) => (
          <div class="col-6 col-md" key={name}>
            <label class="form-label small mb-1" for={name}>
              {filters[name]}
            </label>
            <input
              {...{ id: name, class: 'form-control', value: typed[name] }}
              type={name === 'from' || name === 'to' ? 'datetime-local' : 'text'}
              placeholder={{ who: 'name of a token', job: 'NAME or GROUP/NAME', from: '', to: '' }[name]}
              onInput={(event) => setTyped({ ...typed, [name]: event.currentTarget.value })}
            />
          </div>
        ))}
        <div class="col-auto">
          <button type="submit" class="btn btn-outline-primary">
            Show
          </button>
        </div>
      </form>
      {items === undefined ? <Coming error={error} /> : <Fault error={error} />}
      {items?.length === 0 && isFirst && (
        <p class="text-body-secondary">
          {asked === none ? 'Nobody has changed anything.' : 'Of that there is nothing.'}
        </p>
      )}
      {items !== undefined && items.length > 0 && (
        <ul class="list-group">
          {items.map((entry) => (
            <Item key={entry.id} entry={entry} go={go} />
          ))}
        </ul>
      )}
      {pager}
    </>
  );
}

function queryOf({ who, job, from, to }: Filters): URLSearchParams {
  const given = {
    ...{ who: who.trim(), job: job.trim() },
    ...{ from: utcOf(from), to: utcOf(to) },
  };
  const query = new URLSearchParams({ limit: '50' });
  for (const [name, value] of Object.entries(given)) if (value !== '') query.set(name, value);
  return query;
}

/** What the reader's clock says, as the API takes it. */
function utcOf(local: string): string {
  return local === '' ? '' : new Date(local).toISOString();
}

function Item({ entry, go }: { entry: Audited; go(path: string): void }) {
  const { at, who, what, requestId, before, after } = entry;
  const changes = changesOf(before, after);
  return (
    <li class="list-group-item">
      <div class="d-flex flex-wrap column-gap-2 align-items-baseline">
        <strong>{who}</strong>
        <code>{what}</code>
        <span class="text-break me-auto">
          <Target {...entry} go={go} />
        </span>
        <small class="text-body-secondary">
          <Time at={at} />
        </small>
      </div>
      <details class="small">
        <summary>{changes.length === 0 ? 'Request' : briefly(changes.map(({ field }) => field))}</summary>
        {changes.length > 0 && (
          <table class="table table-sm small mb-1">
            <thead>
              <tr>
                <th scope="col">Field</th>
                <th scope="col">Before</th>
                <th scope="col">After</th>
              </tr>
            </thead>
            <tbody>
              {changes.map(({ field, from, to }) => (
                <tr key={field}>
                  <td>{field}</td>
                  <td class="text-break">
                    <Value of={from} />
                  </td>
                  <td class="text-break">
                    <Value of={to} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        <span class="text-body-secondary">request {requestId}</span>
      </details>
    </li>
  );
}

/** What was changed, by its own page where it has one. */
function Target({ what, job, target, go }: Audited & { go(path: string): void }) {
  if (what === 'job.run' || what === 'run.kill')
    return (
      <Link to={`/runs/${encodeURIComponent(target)}`} go={go}>
        {target}
      </Link>
    );
  // What is gone has none.
  if (job !== null && job === target && what !== 'job.delete') return <JobLink id={job} go={go} />;
  return <>{target}</>;
}

/** So many names as one line takes. */
function briefly(names: readonly string[]): string {
  const more = names.length - mostNames;
  return `${names.slice(0, mostNames).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function Value({ of }: { of: unknown }) {
  if (of === undefined || of === null) return <span class="text-body-secondary">-</span>;
  return <code class="command">{typeof of === 'string' ? of : JSON.stringify(of)}</code>;
}

/** Field by field what is not as it was; what is empty is as good as not there. */
function changesOf(before: unknown, after: unknown): { field: string; from: unknown; to: unknown }[] {
  const [from, to] = [fieldsOf(before), fieldsOf(after)];
  return [...new Set([...Object.keys(from), ...Object.keys(to)])]
    .map((field) => ({ field, from: from[field], to: to[field] }))
    .filter((one) => textOf(one.from) !== textOf(one.to));
}

function textOf(value: unknown): string {
  const text = JSON.stringify(value ?? null);
  return ['{}', '[]', '""'].includes(text) ? 'null' : text;
}

function fieldsOf(value: unknown): Record<string, unknown> {
  if (value === null || value === undefined) return {};
  return typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : { value };
}
