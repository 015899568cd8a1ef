import { useQuery } from '@tanstack/preact-query';
import type { Page, Worker } from './api.ts';
import { Coming, Fault, type Shared, Time, useTitle } from './parts.tsx';

/** For what a phone has no room for. */
const wide = 'd-none d-md-table-cell';

export function WorkersPage({ call }: Shared) {
  useTitle('Workers');
  const { data, error } = useQuery({
    queryKey: ['workers'],
    queryFn: () => call<Page<Worker>>('GET', '/workers'),
    refetchInterval: 3_000,
  });
  return (
    <>
      <h1 class="h3">Workers</h1>
      {data === undefined ? <Coming error={error} /> : <Fault error={error} />}
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
                Since
              </th>
              <th scope="col" class={wide}>
                Last beat
              </th>
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
                  <Time at={worker.since} />
                </td>
                <td class={wide}>
                  <Time at={worker.lastBeat} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
