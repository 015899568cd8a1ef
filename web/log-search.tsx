import { useInfiniteQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { asTerminal } from '#core/model/as-terminal.ts';
import { parseInstantText, parseRunId } from '#core/model/ids.ts';
import { type Found, type FoundLine, Problem } from './api.ts';
import { Fault, Link, type Shared, Time } from './parts.tsx';

/** Of a long line this much is shown on each side of what was looked for. */
const aroundCharacters = 120;
/** And so many lines of a run, until somebody wants to see the others. */
const fewLines = 5;

/** Looks for text in what a job's runs have printed. What is looked for stands in the address, so that one comes back to it. */
export function LogSearch({
  call,
  go,
  path,
  page,
  search,
}: Pick<Shared, 'call' | 'go'> & {
  /** The job's, in the API. */
  path: string;
  /** Its own page's. */
  page: string;
  search: string;
}) {
  const given = new URLSearchParams(search);
  const asked = { text: given.get('find') ?? '', days: given.get('days') ?? '7' };
  const [draft, setDraft] = useState<(typeof asked & { search: string }) | null>(null);
  // By the browser's own way to another search, or to none, the form is that one's. No effect says so: it would come a frame after the
  // form, and take away what somebody has typed by then.
  const typed = draft?.search === search ? draft : { search, ...asked };
  const { data, error, isFetching, hasNextPage, fetchNextPage, refetch } = useInfiniteQuery({
    queryKey: ['search', path, asked],
    enabled: asked.text !== '',
    queryFn: ({ pageParam, signal }) =>
      call<Found>('GET', `${path}/search?${new URLSearchParams({ ...asked, ...pageParam })}`, { signal }),
    initialPageParam: {} as { cursor?: string },
    getNextPageParam: ({ next }: Found) => (next === null ? null : { cursor: next }),
    // It may be much that is read: once, until somebody asks again.
    staleTime: Number.POSITIVE_INFINITY,
  });
  const errorOf = (field: string) =>
    error instanceof Problem ? error.errors.find((one) => one.path === field)?.message : undefined;
  const [wrongText, wrongDays] = [errorOf('text'), errorOf('days')];
  function submit(event: Event) {
    event.preventDefault();
    const { text, days } = typed;
    setDraft(null);
    if (text === asked.text && days === asked.days) void refetch();
    else go(text === '' ? page : `${page}?${new URLSearchParams({ find: text, days })}`);
  }
  return (
    <>
      <search>
        <form class="row g-2 mb-3" noValidate onSubmit={submit}>
          <div class="col-12 col-sm">
            <label class="form-label small mb-1" for="find">
              Find in its output
            </label>
            <input
              {...{ id: 'find', type: 'search', value: typed.text, maxLength: 200 }}
              {...{ autocomplete: 'off', autocapitalize: 'off', spellcheck: false }}
              class={`form-control ${wrongText ? 'is-invalid' : ''}`}
              placeholder="as it is printed, capitals and all"
              aria-describedby="find-help"
              onInput={(event) => setDraft({ ...typed, text: event.currentTarget.value })}
            />
            <div id="find-help" class="invalid-feedback">
              {wrongText}
            </div>
          </div>
          <div class="col-8 col-sm-3 col-lg-2">
            <label class="form-label small mb-1" for="days">
              Of the last days
            </label>
            <input
              {...{ id: 'days', type: 'number', min: 1, max: 36_500, value: typed.days }}
              class={`form-control ${wrongDays ? 'is-invalid' : ''}`}
              aria-describedby="days-help"
              onInput={(event) => setDraft({ ...typed, days: event.currentTarget.value })}
            />
            <div id="days-help" class="invalid-feedback">
              {wrongDays}
            </div>
          </div>
          <div class="col-4 col-sm-auto pt-4">
            <button type="submit" class="btn btn-outline-primary w-100 mt-1">
              Find
            </button>
          </div>
        </form>
      </search>
      {asked.text !== '' && (
        <>
          {wrongText === undefined && wrongDays === undefined && <Fault error={error} />}
          {data !== undefined && (
            <Lines lines={data.pages.flatMap(({ lines }) => lines)} {...{ asked, go }} />
          )}
          <div class="d-flex flex-wrap gap-2 align-items-center mb-3">
            <span role="status">
              {isFetching ? 'Searching ...' : data !== undefined && <Summary pages={data.pages} {...asked} />}
            </span>
            {!isFetching && error !== null && (
              <button type="button" class="btn btn-sm btn-outline-secondary" onClick={() => void refetch()}>
                Try again
              </button>
            )}
            {!isFetching && error === null && hasNextPage && (
              <button
                type="button"
                class="btn btn-sm btn-outline-secondary"
                onClick={() => void fetchNextPage()}
              >
                Search on
              </button>
            )}
          </div>
        </>
      )}
    </>
  );
}

/** How much was found, and in how much: of what was not looked at nobody knows. */
function Summary({ pages, days }: { pages: readonly Found[]; days: string }) {
  const count = pages.reduce((sum, { lines }) => sum + lines.length, 0);
  const said = `${count === 0 ? 'No line has it' : count === 1 ? '1 line' : `${count} lines`}`;
  const reachedAt = pages.at(-1)?.reachedAt ?? null;
  if (reachedAt === null)
    return <>{`${said}, in all runs of the last ${days === '1' ? 'day' : `${days} days`}.`}</>;
  return (
    <>
      {said} so far: it is searched back into the run of <Time at={reachedAt} />.
    </>
  );
}

function Lines({
  lines,
  asked,
  go,
}: {
  lines: readonly FoundLine[];
  asked: { text: string };
  go: Shared['go'];
}) {
  if (lines.length === 0) return null;
  return (
    <ul class="list-group mb-2">
      {[...Map.groupBy(lines, ({ run }) => run)].map(([run, own]) => (
        <OfRun key={run} run={run} lines={own} {...{ asked, go }} />
      ))}
    </ul>
  );
}

/** What one run has printed of it; of much, the first lines. */
function OfRun({ run, lines, asked, go }: Parameters<typeof Lines>[0] & { run: string }) {
  const [isWhole, setIsWhole] = useState(false);
  const path = `/runs/${encodeURIComponent(run)}`;
  const left = lines.length - fewLines;
  return (
    <li class="list-group-item">
      <div class="small">
        <Link to={path} go={go}>
          <RunName id={run} at={lines[0]?.at ?? null} />
        </Link>
      </div>
      {(isWhole ? lines : lines.slice(0, fewLines)).map(({ offset, line }) => (
        <Link key={offset} class="found" to={`${path}?at=${offset}`} go={go}>
          <Line line={line} text={asked.text} />
        </Link>
      ))}
      {left > 0 && !isWhole && (
        <button type="button" class="btn btn-sm btn-link p-0" onClick={() => setIsWhole(true)}>
          {left === 1 ? '1 line more' : `${left} lines more`}
        </button>
      )}
    </li>
  );
}

/** A run by when it was due, or, where it was of no instant, by when it printed what was found. */
function RunName({ id, at }: { id: string; at: string | null }) {
  const { cause, attempt, worker } = parseRunId(id);
  const instant = parseInstantText(cause.split('.').slice(-2).join('.'));
  return (
    <>
      {instant === null ? 'by hand, ' : ''}
      <Time at={instant === null ? at : new Date(instant).toISOString()} />
      {attempt > 1 && `, attempt ${attempt}`}
      {worker !== null && `, ${worker}`}
    </>
  );
}

/** What was looked for in its line, as far as there is room. */
function Line({ line, text }: { line: string; text: string }) {
  // What a terminal would have overwritten is found, too.
  const shown = asTerminal(line).includes(text) ? asTerminal(line) : line;
  const at = shown.indexOf(text);
  // The line is cut off before it.
  if (at < 0) return <>{shown.slice(0, 2 * aroundCharacters)} ...</>;
  const [from, to] = [at - aroundCharacters, at + text.length + aroundCharacters];
  return (
    <>
      {from > 0 && '... '}
      {shown.slice(Math.max(0, from), at)}
      <mark>{text}</mark>
      {shown.slice(at + text.length, to)}
      {to < shown.length && ' ...'}
    </>
  );
}
