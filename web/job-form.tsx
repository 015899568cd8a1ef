import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { type JobView, type Preview, Problem } from './api.ts';
import { Fault, type Shared } from './parts.tsx';

const fields = ['command', 'schedule', 'timezone', 'timeout', 'user', 'cwd', 'description'] as const;
const hints: Record<(typeof fields)[number], string> = {
  command: 'run by /bin/sh',
  schedule: 'such as */5 * * * *; empty: by hand only',
  timezone: 'such as Europe/Berlin',
  timeout: 'such as 10m; empty: none',
  user: "empty: the agent's own",
  cwd: 'empty: its home',
  description: '',
};

function Field(props: {
  name: string;
  label?: string;
  value: string;
  hint: string;
  error: string | undefined;
  set(value: string): void;
  readOnly?: boolean;
}) {
  const { name, value, hint, error, set, readOnly = false } = props;
  return (
    <div class="mb-3">
      <label class="form-label text-capitalize" for={name}>
        {props.label ?? name}
      </label>
      <input
        id={name}
        name={name}
        class={`form-control ${error ? 'is-invalid' : ''}`}
        value={value}
        readOnly={readOnly}
        onInput={(event) => set(event.currentTarget.value)}
        aria-describedby={`${name}-help`}
      />
      <div id={`${name}-help`} class={error ? 'invalid-feedback' : 'form-text'}>
        {error ?? hint}
      </div>
    </div>
  );
}

/** New and edit: the common fields by themselves, every other one as JSON beside them. */
export function JobForm({ call, go, view }: Shared & { view: JobView | null }) {
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
      Object.fromEntries(
        Object.entries(view?.job ?? {}).filter(([name]) => !['group', 'name', ...fields].includes(name)),
      ),
      null,
      2,
    ),
  );
  const [fault, setFault] = useState<unknown>(null);
  const errorOf = (name: string) =>
    fault instanceof Problem ? fault.errors.find(({ path }) => path === name)?.message : undefined;
  const expr = values.schedule ?? '';
  const zone = values.timezone ?? 'UTC';
  const preview = useQuery({
    queryKey: ['schedule', expr, zone],
    enabled: expr.trim() !== '' && !expr.includes(' | '),
    retry: false,
    queryFn: () =>
      call<Preview>('GET', `/schedule?${new URLSearchParams({ expr, timezone: zone, count: '3' })}`),
  });

  async function save(event: Event) {
    event.preventDefault();
    try {
      const text = (name: string) => (values[name]?.trim() === '' ? null : (values[name] ?? null));
      const schedule = text('schedule')?.split(' | ') ?? null;
      const body = {
        ...JSON.parse(more === '' ? '{}' : more),
        command: text('command'),
        schedule: schedule?.length === 1 ? schedule[0] : schedule,
        timezone: text('timezone') ?? 'UTC',
        timeout: text('timeout'),
        user: text('user'),
        cwd: text('cwd'),
        description: values.description ?? '',
      };
      const path = `/jobs/${values.group}/${values.name}`;
      await call('PUT', path, {
        body,
        headers: view === null ? { 'if-none-match': '*' } : { 'if-match': `"${view.revision}"` },
      });
      go(path);
    } catch (error) {
      setFault(error);
    }
  }

  return (
    <form onSubmit={save}>
      <h1 class="h3">{view === null ? 'New job' : `Edit ${view.job.name}`}</h1>
      <Fault error={fault} />
      <div class="row">
        {['name', 'group'].map((name) => (
          <div class="col-md-6" key={name}>
            <Field
              name={name}
              value={values[name] ?? ''}
              hint="letters, digits, . _ -"
              error={errorOf(name)}
              readOnly={view !== null}
              set={(value) => setValues({ ...values, [name]: value })}
            />
          </div>
        ))}
      </div>
      {fields.map((name) => (
        <div key={name}>
          <Field
            name={name}
            value={values[name] ?? ''}
            hint={hints[name]}
            error={errorOf(name)}
            set={(value) => setValues({ ...values, [name]: value })}
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
          {name === 'timezone' && preview.error && expr.trim() !== '' && (
            <div class="alert alert-warning">{preview.error.message}</div>
          )}
        </div>
      ))}
      <details class="mb-3">
        <summary>Everything else</summary>
        <textarea
          class="form-control font-monospace"
          rows={18}
          aria-label="Other fields as JSON"
          value={more}
          onInput={(event) => setMore(event.currentTarget.value)}
        />
      </details>
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
