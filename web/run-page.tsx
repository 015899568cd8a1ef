import { useQuery } from '@tanstack/preact-query';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { LogPart, Run } from './api.ts';
import { Fault, Link, may, type Shared, State, Time } from './parts.tsx';
import { asTerminal } from './terminal.ts';

/** What a page holds of a log at most; the whole is a download. */
const mostCharacters = 400_000;
const open = ['waiting', 'claimed', 'running'];

export function RunPage({ call, me, go, run }: Shared & { run: string }) {
  const [log, setLog] = useState('');
  const [fault, setFault] = useState<unknown>(null);
  const box = useRef<HTMLPreElement>(null);
  const { data, error, refetch } = useQuery({
    queryKey: ['run', run],
    queryFn: () => call<Run>('GET', `/runs/${run}`),
    refetchInterval: 1_000,
  });

  useEffect(() => {
    const stop = new AbortController();
    setLog('');
    async function follow() {
      for (let from = 0; !stop.signal.aborted; ) {
        const part = await call<LogPart>('GET', `/runs/${run}/log?from=${from}&wait=20`, {
          signal: stop.signal,
        });
        const gap = part.droppedBytes > 0 ? `\n... ${part.droppedBytes} bytes were not kept ...\n` : '';
        setLog((text) => (text + gap + part.text).slice(-mostCharacters));
        if (part.done) return;
        from = part.next;
      }
    }
    follow().catch((caught: unknown) => {
      if (!stop.signal.aborted) setFault(caught);
    });
    return () => stop.abort();
  }, [run]);

  useEffect(() => {
    const pre = box.current;
    // Who has scrolled up reads there; only who is at the end is taken along.
    if (pre !== null && pre.scrollHeight - pre.scrollTop - pre.clientHeight < 200)
      pre.scrollTop = pre.scrollHeight;
  }, [log]);

  if (data === undefined) return <Fault error={error} />;
  const kill = () => call('POST', `/runs/${run}/kill`, { body: {} }).then(() => refetch(), setFault);
  return (
    <>
      <div class="d-flex flex-wrap gap-2 mb-3 align-items-center">
        <h1 class="h4 me-auto mb-0">
          <Link to={`/jobs/${data.group}/${data.name}`} go={go}>
            {data.name}
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
      <pre ref={box} class="log border rounded p-2 bg-body-tertiary" role="log" aria-label="Output">
        {asTerminal(log)}
      </pre>
    </>
  );
}
