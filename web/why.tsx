import { useQuery } from '@tanstack/preact-query';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Explained } from './api.ts';
import { Fault, Link, type Shared, State, Time, whyPath } from './parts.tsx';

/** What becomes of an instant in these states is still to be seen. */
const open = ['coming', 'due', 'waiting', 'claimed', 'running'];

/** Says why an instant of a job ran, or did not. Which one stands in the address, so that runs, and people, can link to it. */
export function Why({
  call,
  go,
  group,
  name,
  search,
}: Pick<Shared, 'call' | 'go'> & { group: string; name: string; search: string }) {
  /** Null: nobody asks; empty: of the last that was due. */
  const asked = new URLSearchParams(search).get('why');
  /** What is typed and not asked yet, and beside which answer. */
  const [draft, setDraft] = useState<{ asked: string | null; value: string } | null>(null);
  const typed = draft?.asked === asked ? draft.value : localValue(asked);
  const answer = useRef<HTMLElement>(null);
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ['why', group, name, asked],
    enabled: asked !== null,
    queryFn: () => {
      const query = { job: `${group}/${name}`, ...(asked ? { instant: asked } : {}) };
      return call<Explained>('GET', `/why?${new URLSearchParams(query)}`);
    },
    refetchInterval: ({ state }) => (open.includes(state.data?.state ?? '') ? 2_000 : false),
  });
  // The links to it stand below, or on another page: who asks goes on at the answer, by eye and by keys.
  const isKnown = data !== undefined;
  useEffect(() => {
    if (isKnown) answer.current?.focus();
  }, [asked, isKnown]);
  function submit(event: Event) {
    event.preventDefault();
    // In the hour that a clock goes through twice only the address tells which is meant.
    const instant = typed === localValue(asked) ? (asked ?? '') : utcOf(typed);
    setDraft(null);
    if (instant !== asked) go(whyPath({ group, name }, instant));
    else void refetch().then(() => answer.current?.focus());
  }
  return (
    <>
      <form class="row g-2 mb-3" noValidate onSubmit={submit}>
        <div class="col-12 col-sm-auto">
          <label class="form-label small mb-1" for="why">
            Why an instant ran, or did not
          </label>
          <input
            {...{ id: 'why', type: 'datetime-local', step: 1, max: '9999-12-31T23:59:59', value: typed }}
            class="form-control"
            aria-describedby="why-help"
            onInput={(event) => setDraft({ asked, value: event.currentTarget.value })}
          />
          <div id="why-help" class="form-text">
            In {zoneName()}; left empty, the last that was due.
          </div>
        </div>
        <div class="col-12 col-sm-auto pt-sm-4">
          <button type="submit" class="btn btn-outline-primary mt-sm-1">
            Say why
          </button>
        </div>
      </form>
      {asked !== null && (
        <>
          <Fault error={error} />
          <span role="status">{isFetching && !isKnown && 'Looking ...'}</span>
        </>
      )}
      {data !== undefined && (
        <section ref={answer} tabIndex={-1} class="border rounded p-3 mb-3" aria-label="Why">
          <Answer {...data} go={go} />
        </section>
      )}
    </>
  );
}

function Answer({ instant, state, sentence, run, evidence, away, go }: Explained & Pick<Shared, 'go'>) {
  return (
    <>
      <h3 class="h6">
        <Time at={instant} /> <State of={state} />
      </h3>
      <p class="text-break">
        {sentence}
        {run !== null && (
          <>
            {' '}
            <Link to={`/runs/${encodeURIComponent(run)}`} go={go}>
              Its record
            </Link>
          </>
        )}
      </p>
      {away.length > 0 && (
        <div class="alert alert-warning">
          Left out is what only the {away.join(' and the ')} knows, which does not answer at the moment.
        </div>
      )}
      <table class="table table-sm small mb-0">
        <caption class="caption-top pt-0">
          What that rests on, in the order in which it happened. A time that ends in Z is in UTC.
        </caption>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">What</th>
            <th scope="col">Source</th>
          </tr>
        </thead>
        <tbody>
          {evidence.map(({ at, what, source }) => (
            <tr key={`${at} ${what} ${source}`}>
              <td>
                <Time at={at} />
              </td>
              <td class="text-break">{what}</td>
              <td class="text-break">{source}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/** An instant as a field for local times has it: nothing where it is none, no seconds where there are none. */
function localValue(instant: string | null): string {
  const at = new Date(instant ?? '');
  if (Number.isNaN(at.getTime())) return '';
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString();
  return local
    .slice(0, 23)
    .replace(/\.000$/, '')
    .replace(/:00$/, '');
}

function utcOf(local: string): string {
  return local === '' ? '' : new Date(local).toISOString();
}

function zoneName(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
