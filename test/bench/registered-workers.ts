import type { JobStore } from '#core/cluster/job-record.ts';
import type { WorkerRecord } from '#core/model/worker.ts';
import type { Op } from '#core/ports/kv.ts';

/** How many keys a request may put. */
const atOnce = 100;

/** So many workers as far as others see them: their registrations, which no lease ends. */
export async function registerWorkers({ kv, layout, now }: JobStore, count: number): Promise<void> {
  const registration = (n: number): Op => {
    const id = `server-${n}`;
    const record: WorkerRecord = {
      ...{ id, host: `${id}.example.org`, addresses: [`10.0.${n >> 8}.${n & 255}`], labels: { zone: 'a' } },
      ...{ version: '0.1.0', state: 'live', since: now(), capacity: 100, tzdata: process.versions.tz ?? '' },
      ...{ switchesUser: true, clockSkewMs: 0, full: false },
    };
    return { type: 'put', key: layout.worker(id), value: JSON.stringify(record) };
  };
  for (let from = 0; from < count; from += atOnce) {
    const length = Math.min(atOnce, count - from);
    await kv.txn({ compare: [], then: Array.from({ length }, (_, n) => registration(from + n)) });
  }
}
