import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import type { Page, Worker } from './api.ts';
import { Coming, Fault, may, type Shared, Time, useTitle } from './parts.tsx';

/** For what a phone has no room for. */
const wide = 'd-none d-md-table-cell';

export function WorkersPage({ call, me }: Shared) {
  useTitle('Workers');
  const [fault, setFault] = useState<unknown>(null);
  const { data, error, refetch } = useQuery({
    queryKey: ['workers'],
    queryFn: () => call<Page<Worker>>('GET', '/workers'),
    refetchInterval: 3_000,
  });
  const mayDrain = may(me, 'admin') && me.groups === null;
  const drain = (id: string, how: 'drain' | 'undrain') =>
    call('POST', `/workers/${encodeURIComponent(id)}/${how}`).then(() => {
      setFault(null);
      void refetch();
    }, setFault);
  return (
    <>
      <h1 class="h3">Workers</h1>
      {data === undefined ? <Coming error={error} /> : <Fault error={fault ?? error} />}
      {data?.items.length === 0 && (
        <div class="alert alert-warning">No worker has come yet: nothing runs.</div>
      )}
      <div class="table-responsive">
        <table class="table align-middle">
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">State</th>
              <th scope="col">Running</th>
              <th scope="col" class={wide}>
                Labels
              </th>
              <th scope="col" class={wide}>
                Version
              </th>
              <th scope="col" class={wide}>
                Here since
              </th>
              <th scope="col" class={wide}>
                Last beat
              </th>
              {mayDrain && (
                <th scope="col">
                  <span class="visually-hidden">Drain</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {data?.items.map((worker) => (
              <tr key={worker.id}>
                <td>
                  {worker.id}
                  {worker.host === worker.id ? '' : ` (${worker.host})`}
                </td>
                <td>
                  <span class={`badge text-bg-${worker.state === 'live' ? 'success' : 'secondary'}`}>
                    {worker.state}
                  </span>
                </td>
                <td>
                  {worker.running ?? '-'} of {worker.capacity}
                </td>
                <td class={wide}>
                  {Object.entries(worker.labels)
                    .map(([key, value]) => `${key}=${value}`)
                    .join(', ')}
                </td>
                <td class={wide}>{worker.version}</td>
                <td class={wide}>
                  {/* Of one that is gone it is not known. */}
                  <Time at={worker.state === 'dead' ? null : worker.since} />
                </td>
                <td class={wide}>
                  <Time at={worker.lastBeat} />
                </td>
                {mayDrain && (
                  <td class="text-end">
                    <Drain {...worker} drain={drain} />
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="small text-body-secondary d-none d-md-block">
        Here since: when it first came with the labels that it has, however often it was started since.
      </p>
    </>
  );
}

/** A worker that is drained claims nothing; what runs there runs on. */
function Drain({ id, state, drain }: Worker & { drain(id: string, how: 'drain' | 'undrain'): void }) {
  if (state !== 'live' && state !== 'draining') return null;
  const how = state === 'live' ? 'drain' : 'undrain';
  return (
    <button
      type="button"
      class="btn btn-sm btn-outline-secondary"
      aria-label={`${how === 'drain' ? 'Drain' : 'Undrain'} ${id}`}
      onClick={() => drain(id, how)}
    >
      {how === 'drain' ? 'Drain' : 'Undrain'}
    </button>
  );
}
