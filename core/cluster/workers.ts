import { Refusal } from '#core/model/refusal.ts';
import type { WorkerLoad, WorkerView } from '#core/model/worker.ts';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import type { Layout } from './keys.ts';
import { readWorker } from './read-key.ts';
import { DrainValue, decode } from './records.ts';

/** Every registered worker with its last load figures, and those that are gone but were heard of within a day. */
export async function listWorkers(
  kv: Kv,
  layout: Layout,
  loads: readonly WorkerLoad[],
  now: number,
): Promise<WorkerView[]> {
  const [registered, drains] = await Promise.all([
    kv.range(prefixRange(layout.workers)),
    kv.range({ ...prefixRange(layout.drains) }, { keysOnly: true }),
  ]);
  const draining = new Set(drains.entries.map(({ key }) => key.slice(layout.drains.length)));
  const views = new Map<string, WorkerView>();
  for (const entry of registered.entries) {
    const read = readWorker(layout, entry);
    if (!read.ok) continue;
    const { switchesUser: _, full: __, ...worker } = read.record;
    const state = worker.state === 'live' && draining.has(worker.id) ? 'draining' : worker.state;
    views.set(worker.id, {
      ...worker,
      state,
      lastBeat: null,
      running: null,
      revision: null,
      cpu: null,
      memory: null,
    });
  }
  for (const load of loads) {
    const { id, at, running, revision, cpu, memory, clockSkewMs } = load;
    const view = views.get(id);
    if (view !== undefined)
      views.set(id, { ...view, lastBeat: at, running, revision, cpu, memory, clockSkewMs });
    else if (now - at < 86_400_000) views.set(id, { ...gone(id), lastBeat: at, since: at });
  }
  return [...views.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function gone(id: string): WorkerView {
  return {
    ...{
      id,
      host: id,
      addresses: [],
      labels: {},
      version: '',
      state: 'dead',
      since: 0,
      lastBeat: null,
      capacity: 0,
    },
    ...{ running: null, revision: null, clockSkewMs: null, tzdata: '', cpu: null, memory: null },
  };
}

/** Asks a worker to take nothing new, or lets it again; gives what was asked of it before. Refusal `worker_not_found`. */
export async function setDrain(
  kv: Kv,
  layout: Layout,
  worker: string,
  drain: DrainValue | null,
): Promise<DrainValue | null> {
  const key = layout.drain(worker);
  const done = await kv.txn({
    compare: [{ key: layout.worker(worker), target: 'create', op: '>', revision: '0' }],
    then: [
      { type: 'range', key },
      drain === null ? { type: 'delete', key } : { type: 'put', key, value: JSON.stringify(drain) },
    ],
  });
  if (!done.succeeded)
    throw new Refusal('worker_not_found', `worker: there is no worker ${JSON.stringify(worker)}`);
  const [held] = done.results;
  const entry = held?.type === 'range' ? held.entries[0] : undefined;
  const read = entry === undefined ? null : decode(DrainValue, entry);
  return read?.ok ? read.value : null;
}
