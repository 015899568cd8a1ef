import { useQuery } from '@tanstack/preact-query';
import type { Page, Worker } from './api.ts';
import { Fault, type Shared, Time } from './parts.tsx';

export function WorkersPage({ call }: Shared) {
  const { data, error } = useQuery({
    queryKey: ['workers'],
    queryFn: () => call<Page<Worker>>('GET', '/workers'),
    refetchInterval: 3_000,
  });
  return (
    <>
      <h1 class="h3">Workers</h1>
      <Fault error={error} />
      <div class="table-responsive">
        <table class="table align-middle">
          <thead>
            <tr>
              <th>Worker</th>
              <th>State</th>
              <th>Running</th>
              <th>Labels</th>
              <th>Version</th>
              <th>Since</th>
              <th>Last beat</th>
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
                <td>
                  {Object.entries(worker.labels)
                    .map(([key, value]) => `${key}=${value}`)
                    .join(', ')}
                </td>
                <td>{worker.version}</td>
                <td>
                  <Time at={worker.since} />
                </td>
                <td>
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
