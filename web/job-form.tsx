import { useQuery, useQueryClient } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { namePattern } from '#core/model/ids.ts';
import { type JobView, type Preview, Problem } from './api.ts';
import { Field } from './field.tsx';
import { Notify, rulesOf, typedRules } from './notify.tsx';
import { Fault, jobTitle, type Shared, useTitle } from './parts.tsx';

const fields = ['command', 'schedule', 'timezone', 'timeout', 'user', 'cwd', 'description'] as const;
const labels: Record<string, string> = {
  name: 'Name',
  group: 'Group',
  command: 'Command',
  schedule: 'Schedule',
  timezone: 'Time zone',
  timeout: 'Timeout',
  user: 'User',
  cwd: 'Working directory',
  description: 'Description',
};
const hints: Record<string, string> = {
  name: 'letters, digits, . _ -',
  group: 'letters, digits, . _ -',
  schedule: 'such as */5 * * * *; several with | between them; empty: by hand only',
  timezone: 'such as Europe/Berlin',
  timeout: 'such as 10m; empty: none',
  user: "empty: the agent's own",
  cwd: "empty: the user's home",
};
/** What may have several lines, which an input would take out. */
const lines = ['command', 'description'];
/** What has a place of its own in the form; the rest is JSON. */
const placed = ['group', 'name', ...fields, 'notify'];

/** The other fields, from their JSON. */
function othersOf(text: string): object {
  try {
    const read: unknown = JSON.parse(text.trim() === '' ? '{}' : text);
    if (typeof read === 'object' && read !== null && !Array.isArray(read)) return read;
  } catch (error) {
    throw new Error(`Everything else: is not JSON: ${error instanceof Error ? error.message : ''}`);
  }
  throw new Error('Everything else: expected fields in {}');
}

const errorsOf = (why: unknown) => (why instanceof Problem ? why.errors : []);

/** Why nothing was saved: what stands at its field already is not said again. */
function Refused({ why }: { why: unknown }) {
  const errors = errorsOf(why);
  if (errors.length === 0) return <Fault error={why} />;
  const told = ({ path }: Problem['errors'][number]) => path.startsWith('notify.');
  const places = Object.keys(labels).filter((name) => errors.some(({ path }) => path === name));
  const names = [...places.map((name) => labels[name]), ...(errors.some(told) ? ['Tell'] : [])];
  const seen = names.length === 0 ? [] : [`look at ${names.join(', ')}`];
  const others = errors
    .filter((one) => !told(one) && !places.includes(one.path))
    .map(({ message }) => message);
  return <Fault error={`Not saved: ${[...others, ...seen].join('; ')}.`} />;
}

/** New and edit: the common fields by themselves, every other one as JSON beside them. */
export function JobForm({ call, me, go, view }: Shared & { view: JobView | null }) {
  const title = view === null ? 'New job' : `Edit ${jobTitle(view.job.group, view.job.name)}`;
  useTitle(title);
  const queries = useQueryClient();
  const [values, setValues] = useState<Record<string, string>>(() => {
    const job: Record<string, unknown> = { ...view?.job };
    return Object.fromEntries(
      ['group', 'name', ...fields].map((name) => [
        name,
        job[name] == null
          ? ((
              { group: 'default', timezone: Intl.DateTimeFormat().resolvedOptions().timeZone } as Record<
                string,
                string
              >
            )[name] ?? '')
          : Array.isArray(job[name])
            ? job[name].join(' | ')
            : String(job[name]),
      ]),
    );
  });
  const [more, setMore] = useState(() =>
    JSON.stringify(
      Object.fromEntries(Object.entries(view?.job ?? {}).filter(([name]) => !placed.includes(name))),
      null,
      2,
    ),
  );
  const [rules, setRules] = useState(() => typedRules(view?.job.notify ?? []));
  const [fault, setFault] = useState<unknown>(null);
  const expr = values.schedule ?? '';
  const zone = values.timezone ?? 'UTC';
  const named = namePattern.test(values.group ?? '') && namePattern.test(values.name ?? '');
  const asked = {
    ...{ expr, timezone: zone, dst: view?.job.dst ?? 'vixie', count: '3' },
    // What H and a~b stand for goes by the job's name.
    ...(named ? { job: `${values.group}/${values.name}` } : {}),
  };
  const preview = useQuery({
    queryKey: ['schedule', asked],
    enabled: expr.trim() !== '' && !expr.includes(' | '),
    retry: false,
    queryFn: () => call<Preview>('GET', `/schedule?${new URLSearchParams(asked)}`),
  });

  const errorOf = (name: string) =>
    [...errorsOf(preview.error), ...errorsOf(fault)].find(({ path }) => path === name)?.message;
  function change(name: string, value: string) {
    setValues({ ...values, [name]: value });
    // What was refused is not what stands there now.
    const left = errorsOf(fault).filter(({ path }) => path !== name);
    if (!(fault instanceof Problem) || left.length === fault.errors.length) return;
    setFault(left.length === 0 ? null : new Problem(fault.status, fault.code, fault.message, left));
  }

  async function save(event: Event) {
    event.preventDefault();
    try {
      const text = (name: string) => (values[name]?.trim() === '' ? null : (values[name] ?? null));
      const schedule = text('schedule')?.split(' | ') ?? null;
      const body = {
        ...othersOf(more),
        notify: rulesOf(rules),
        command: text('command'),
        schedule: schedule?.length === 1 ? schedule[0] : schedule,
        timezone: text('timezone') ?? 'UTC',
        timeout: text('timeout'),
        user: text('user'),
        cwd: text('cwd'),
        description: values.description ?? '',
      };
      const path = `/jobs/${encodeURIComponent(values.group ?? '')}/${encodeURIComponent(values.name ?? '')}`;
      const saved = await call<JobView>('PUT', path, {
        body,
        headers: view === null ? { 'if-none-match': '*' } : { 'if-match': `"${view.revision}"` },
      });
      // Its page shows at once what was saved: of what it knew until then the next edit would be refused as one of an old version.
      queries.setQueryData(['job', saved.job.group, saved.job.name], saved);
      go(path);
    } catch (error) {
      setFault(error);
    }
  }

  return (
    <form onSubmit={save}>
      <h1 class="h3">{title}</h1>
      <div class="row">
        {['name', 'group'].map((name) => (
          <div class="col-md-6" key={name}>
            <Field
              name={name}
              label={labels[name] ?? name}
              value={values[name] ?? ''}
              hint={view === null ? (hints[name] ?? '') : `a job keeps its ${name}`}
              error={errorOf(name)}
              readOnly={view !== null}
              // Without these two there is no address to save it under.
              required
              set={(value) => change(name, value)}
            />
          </div>
        ))}
      </div>
      {fields.map((name) => (
        <div key={name}>
          <Field
            name={name}
            label={labels[name] ?? name}
            lines={lines.includes(name)}
            value={values[name] ?? ''}
            hint={name === 'command' ? `run by ${view?.job.shell ?? '/bin/sh'}` : (hints[name] ?? '')}
            error={errorOf(name)}
            set={(value) => change(name, value)}
          />
          {name === 'timezone' && preview.data && (
            <div class="alert alert-light" aria-live="polite">
              <strong>{preview.data.sentence}</strong>
              <ul class="mb-0">
                {preview.data.next.map(({ instant, local, note }) => (
                  <li key={instant}>
                    {local}
                    {note ? ` (${note})` : ''}
                  </li>
                ))}
              </ul>
              {preview.data.warnings.map((warning) => (
                <div key={warning} class="text-warning-emphasis">
                  {warning}
                </div>
              ))}
            </div>
          )}
          {name === 'timezone' && preview.error && !(errorOf('schedule') ?? errorOf('timezone')) && (
            <div class="alert alert-warning">{preview.error.message}</div>
          )}
        </div>
      ))}
      <Notify {...{ call, me, go, rules }} set={setRules} errors={errorsOf(fault)} />
      <details class="mb-3">
        <summary>Everything else</summary>
        <textarea
          class="form-control font-monospace"
          spellcheck={false}
          rows={18}
          aria-label="Other fields as JSON"
          aria-describedby="more-help"
          value={more}
          onInput={(event) => setMore(event.currentTarget.value)}
        />
        <div id="more-help" class="form-text">
          JSON, such as {'{ "overlap": "queue", "retry": { "attempts": 2 }, "tags": ["db"] }'}; all there is
          stands in{' '}
          <a href="/docs" target="_blank" rel="noreferrer">
            /docs
          </a>
          .
        </div>
      </details>
      <Refused why={fault} />
      <button type="submit" class="btn btn-primary">
        Save
      </button>{' '}
      <button
        type="button"
        class="btn btn-outline-secondary"
        onClick={() => go(view === null ? '/' : `/jobs/${view.job.group}/${view.job.name}`)}
      >
        Cancel
      </button>
    </form>
  );
}
