import { useQuery } from '@tanstack/preact-query';
import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { asTerminal } from '#core/model/as-terminal.ts';
import { type JobView, type LogPart, Problem, type Run } from './api.ts';
import { useEnd } from './log-end.ts';
import { emptyLog, grown, type Log } from './log-place.ts';
import {
  Coming,
  Fault,
  jobTitle,
  Link,
  may,
  Runbook,
  type Shared,
  State,
  Time,
  took,
  Until,
  useTitle,
  whyPath,
} from './parts.tsx';

/** Of what stands before a line that one has come for this much is shown, in bytes. */
const beforeBytes = 16_384;
const open = ['waiting', 'claimed', 'running'];
/** What somebody may have written down something for. */
const wrong = ['failed', 'timed_out', 'lost', 'missed'];
/** How long a log that was cut off waits before it goes on. */
const againMs = 2_000;

export function RunPage({ call, download, me, go, run, search }: Shared & { run: string; search: string }) {
  useTitle(run);
  const at = placeIn(search);
  const [log, setLog] = useState<Log>(emptyLog);
  const [fault, setFault] = useState<unknown>(null);
  const path = `/runs/${encodeURIComponent(run)}`;
  const box = useRef<HTMLPreElement>(null);
  const found = useRef<HTMLElement>(null);
  const { data, error, refetch } = useQuery({
    queryKey: ['run', run],
    queryFn: () => call<Run>('GET', path),
    refetchInterval: 1_000,
  });

  // The log may be here before the record without which there is no box for it.
  const shown = data !== undefined;
  const scrolled = useEnd(box, `${run}?${at}`, shown && log.line === null ? log.text : null);
  useEffect(() => {
    const stop = new AbortController();
    setLog(emptyLog);
    let from = at === null ? 0 : Math.max(0, at - beforeBytes);
    let held = emptyLog;
    let again: ReturnType<typeof setTimeout> | undefined;
    async function follow() {
      while (!stop.signal.aborted) {
        const part = await call<LogPart>('GET', `${path}/log?from=${from}&wait=20`, {
          signal: stop.signal,
        });
        setFault(null);
        held = grown(held, part, at);
        setLog(held);
        if (part.done || held.cutAfter) return;
        from = part.next;
      }
    }
    function start() {
      follow().catch((caught: unknown) => {
        if (stop.signal.aborted) return;
        setFault(caught);
        // The server may be starting again: the run lives on, and so does its log.
        if (!(caught instanceof Problem) || caught.status >= 500) again = setTimeout(start, againMs);
      });
    }
    start();
    return () => {
      stop.abort();
      clearTimeout(again);
    };
  }, [path, at]);

  useEffect(() => {
    const [pre, mark] = [box.current, found.current];
    if (pre === null || mark === null) return;
    const above = mark.getBoundingClientRect().top - pre.getBoundingClientRect().top;
    pre.scrollTop += above - pre.clientHeight / 2;
    mark.scrollIntoView({ block: 'nearest' });
  }, [log.line, shown]);

  if (data === undefined)
    return (
      <>
        <h1 class="h4">{run}</h1>
        <Coming error={error} />
      </>
    );
  const kill = () =>
    confirm('Kill this run, with all that it has started?') &&
    void call('POST', `${path}/kill`, { body: {} }).then(() => refetch(), setFault);
  return (
    <>
      <div class="d-flex flex-wrap gap-2 mb-3 align-items-center">
        <h1 class="h4 me-auto mb-0">
          <Link to={`/jobs/${data.group}/${data.name}`} go={go}>
            {jobTitle(data.group, data.name)}
          </Link>{' '}
          <State of={data.state} />
        </h1>
        {open.includes(data.state) && may(me, 'operator') && (
          <button type="button" class="btn btn-danger" onClick={kill}>
            Kill
          </button>
        )}
      </div>
      <Fault error={fault ?? error} />
      {data.kill && (
        <div class="alert alert-warning" aria-live="polite">
          Kill asked by {data.kill.by}
          {data.kill.signalledAt === null ? '' : '; signalled'}
          {data.kill.confirmedAt === null ? '' : '; confirmed: nothing of it lives'}
          {data.kill.certain === false ? ' (as far as can be seen without a cgroup)' : ''}
        </div>
      )}
      <dl class="row">
        <dt class="col-sm-2">Run</dt>
        <dd class="col-sm-10">
          <code>{data.id}</code>
        </dd>
        <dt class="col-sm-2">Instant</dt>
        <dd class="col-sm-10">
          {data.instant === null ? (
            `by hand (${data.by ?? ''})`
          ) : (
            <>
              <Time at={data.instant} />,{' '}
              <Link to={whyPath(data, data.instant)} go={go}>
                why it is so
              </Link>
            </>
          )}
        </dd>
        <dt class="col-sm-2">Started</dt>
        <dd class="col-sm-10">
          <Time at={data.startedAt} />
          {data.lateMs === null ? '' : `, ${data.lateMs} ms after its instant`}
        </dd>
        <dt class="col-sm-2">Ended</dt>
        <dd class="col-sm-10">
          {data.endedAt === null && data.startedAt !== null ? (
            <>
              it has run <Until at={data.startedAt} say="for" />
            </>
          ) : (
            <Time at={data.endedAt} />
          )}
          {/* The reason of one that failed is that. */}
          {data.exitCode === null || data.reason.includes('exit status')
            ? ''
            : `, exit status ${data.exitCode}`}
          {data.signal === null ? '' : `, signal ${data.signal}`}
        </dd>
        {data.durationMs !== null && (
          <>
            <dt class="col-sm-2">Took</dt>
            <dd class="col-sm-10">{took(data.durationMs)}</dd>
          </>
        )}
        {data.reason !== '' && (
          <>
            <dt class="col-sm-2">Reason</dt>
            <dd class="col-sm-10">{data.reason}</dd>
          </>
        )}
        {wrong.includes(data.state) && <WhatToDo {...{ call, ...data }} />}
        <dt class="col-sm-2">Worker</dt>
        <dd class="col-sm-10">
          {data.worker ?? '-'}, attempt {data.attempt}
        </dd>
      </dl>
      {data.startedAt === null && data.endedAt !== null ? (
        <p class="text-body-secondary">It has not run, so there is no output.</p>
      ) : (
        <>
          <div class="d-flex gap-2 align-items-center mb-2">
            <h2 class="h5 mb-0 me-auto">Output</h2>
            <small class="text-body-secondary">
              {/* They are counted when the run ends. */}
              {data.endedAt !== null && `${data.bytes} bytes`}
              {log.cutBefore && at === null && ' of which the end is shown'}
            </small>
            <button
              type="button"
              class="btn btn-sm btn-outline-secondary"
              onClick={() =>
                download(`${path}/log`, `${run}.log`).then(
                  (whole) => whole || setFault(short(data)),
                  setFault,
                )
              }
            >
              Download
            </button>
          </div>
          {at !== null && (
            <p class="small mb-2">
              Marked is the line that was found.
              {log.cutBefore && ' More stands before'}
              {log.cutAfter && `${log.cutBefore ? ' and' : ' More stands'} behind`}
              {(log.cutBefore || log.cutAfter) && ' what is shown.'}{' '}
              <Link to={`/runs/${encodeURIComponent(run)}`} go={go}>
                Show it as it ends
              </Link>
            </p>
          )}
          <pre
            ref={box}
            onScroll={scrolled}
            class="log border rounded p-2 bg-body-tertiary"
            role="log"
            aria-label="Output"
            // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and who has no mouse scrolls it by keys.
            tabIndex={0}
          >
            {log.line === null ? asTerminal(log.text) : <Marked {...log} line={log.line} mark={found} />}
          </pre>
        </>
      )}
    </>
  );
}

/** The runbook of the run's job, where it has one. */
function WhatToDo({ call, group, name }: Pick<Shared, 'call'> & Pick<Run, 'group' | 'name'>) {
  const { data } = useQuery({
    queryKey: ['job', group, name],
    queryFn: () => call<JobView>('GET', `/jobs/${encodeURIComponent(group)}/${encodeURIComponent(name)}`),
  });
  const url = data?.job.runbook ?? null;
  if (url === null) return null;
  return (
    <>
      <dt class="col-sm-2">Runbook</dt>
      <dd class="col-sm-10">
        <Runbook url={url} />
      </dd>
    </>
  );
}

function Marked({ text, line, mark }: { text: string; line: number; mark: RefObject<HTMLElement> }) {
  const end = text.indexOf('\n', line);
  const behind = end < 0 ? text.length : end;
  return (
    <>
      {asTerminal(text.slice(0, line))}
      <mark ref={mark}>{asTerminal(text.slice(line, behind))}</mark>
      {asTerminal(text.slice(behind))}
    </>
  );
}

/** The byte that one has come for, as the address of a line that was found names it. */
function placeIn(search: string): number | null {
  const at = Number(new URLSearchParams(search).get('at') ?? Number.NaN);
  return Number.isSafeInteger(at) && at >= 0 ? at : null;
}

/** Said of a file that would pass for the whole. */
function short({ endedAt, state }: Run): Error {
  const why =
    endedAt === null
      ? 'the run has not ended'
      : state === 'lost'
        ? 'the run was lost, and whether that is all nobody knows'
        : 'the end of its output waits on its worker, or was lost';
  return new Error(`What was saved is the output as far as it is here: ${why}.`);
}
