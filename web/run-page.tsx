import { useQuery } from '@tanstack/preact-query';
import { useEffect, useRef, useState } from 'preact/hooks';
import { asTerminal } from '#core/model/as-terminal.ts';
import { type LogPart, Problem, type Run } from './api.ts';
import { Coming, Fault, jobTitle, Link, may, type Shared, State, Time, useTitle } from './parts.tsx';

/** What a page holds of a log at most; the whole is a download. */
const mostCharacters = 400_000;
const open = ['waiting', 'claimed', 'running'];
/** How long a log that was cut off waits before it goes on. */
const againMs = 2_000;

export function RunPage({ call, download, me, go, run }: Shared & { run: string }) {
  useTitle(run);
  const [log, setLog] = useState('');
  const [fault, setFault] = useState<unknown>(null);
  const path = `/runs/${encodeURIComponent(run)}`;
  const box = useRef<HTMLPreElement>(null);
  const { data, error, refetch } = useQuery({
    queryKey: ['run', run],
    queryFn: () => call<Run>('GET', path),
    refetchInterval: 1_000,
  });

  useEffect(() => {
    const stop = new AbortController();
    setLog('');
    let from = 0;
    let again: ReturnType<typeof setTimeout> | undefined;
    async function follow() {
      while (!stop.signal.aborted) {
        const part = await call<LogPart>('GET', `${path}/log?from=${from}&wait=20`, {
          signal: stop.signal,
        });
        setFault(null);
        const gap = part.droppedBytes > 0 ? `\n... ${part.droppedBytes} bytes were not kept ...\n` : '';
        setLog((text) => (text + gap + part.text).slice(-mostCharacters));
        if (part.done) return;
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
  }, [path]);

  useEffect(() => {
    const pre = box.current;
    // Who has scrolled up reads there; only who is at the end is taken along.
    if (pre !== null && pre.scrollHeight - pre.scrollTop - pre.clientHeight < 200)
      pre.scrollTop = pre.scrollHeight;
  }, [log]);

  if (data === undefined) return <Coming error={error} />;
  const kill = () => call('POST', `${path}/kill`, { body: {} }).then(() => refetch(), setFault);
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
          {data.instant === null ? `by hand (${data.by ?? ''})` : <Time at={data.instant} />}
        </dd>
        <dt class="col-sm-2">Started</dt>
        <dd class="col-sm-10">
          <Time at={data.startedAt} />
          {data.lateMs === null ? '' : `, ${data.lateMs} ms after its instant`}
        </dd>
        <dt class="col-sm-2">Ended</dt>
        <dd class="col-sm-10">
          <Time at={data.endedAt} />
          {data.exitCode === null ? '' : `, exit status ${data.exitCode}`}
          {data.signal === null ? '' : `, signal ${data.signal}`}
        </dd>
        {data.reason !== '' && (
          <>
            <dt class="col-sm-2">Reason</dt>
            <dd class="col-sm-10">{data.reason}</dd>
          </>
        )}
        <dt class="col-sm-2">Worker</dt>
        <dd class="col-sm-10">
          {data.worker ?? '-'}, attempt {data.attempt}
        </dd>
      </dl>
      <div class="d-flex gap-2 align-items-center mb-2">
        <h2 class="h5 mb-0 me-auto">Output</h2>
        <small class="text-body-secondary">
          {/* They are counted when the run ends. */}
          {data.endedAt !== null && `${data.bytes} bytes`}
          {log.length >= mostCharacters && ' of which the end is shown'}
        </small>
        <button
          type="button"
          class="btn btn-sm btn-outline-secondary"
          onClick={() => download(`${path}/log`, `${run}.log`).catch(setFault)}
        >
          Download
        </button>
      </div>
      <pre
        ref={box}
        class="log border rounded p-2 bg-body-tertiary"
        role="log"
        aria-label="Output"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and who has no mouse scrolls it by keys.
        tabIndex={0}
      >
        {asTerminal(log)}
      </pre>
    </>
  );
}
