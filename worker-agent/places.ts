import {
  type Candidate,
  commonTzdata,
  fits,
  hashOf,
  type Pool,
  placeIn,
  poolFor,
  poolKey,
} from '#core/decide/placement.ts';
import type { JobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { type AgentDeps, times } from './context.ts';
import type { Mirror, MirroredJob } from './mirror.ts';
import type { OwnClock } from './own-clock.ts';

/** This worker's place among those that may try a job. */
export interface Place {
  /** 0: home; 1, 2: deputies. */
  place: number;
  /** False: no live worker fits the job, and this one keeps its books. */
  runnable: boolean;
}

/** Where this worker stands among all, by the mirror as it was at the last `lookAround`. */
export function createPlaces(
  deps: Pick<AgentDeps, 'settings' | 'events'> & { mirror: Mirror; ownClock: OwnClock },
) {
  const { settings, events, mirror, ownClock } = deps;
  let candidates: (Candidate & { hash: number })[] = [];
  /** Of what was seen then, by kind of job. */
  const pools = new Map<string, Pool>();
  let common = '';
  let apart = false;

  function poolOf(job: Job): Pool {
    const key = poolKey(job);
    let pool = pools.get(key);
    if (pool === undefined) {
      pool = poolFor(job, candidates, common);
      pools.set(key, pool);
    }
    return pool;
  }

  return {
    lookAround(): void {
      candidates = [...mirror.workers].map(([id, { record, hash }]) => ({
        worker: record,
        draining: mirror.drains.has(id),
        hash,
      }));
      pools.clear();
      common = commonTzdata(candidates.map(({ worker }) => worker));
      const was = apart;
      apart = candidates.length > 0 && common !== settings.tzdata;
      if (apart && !was)
        events.emit({ type: 'tzdata.apart', worker: settings.id, own: settings.tzdata, common });
    },

    /** null: it is not for this worker to try. */
    of(job: MirroredJob): Place | null {
      if (mirror.drains.has(settings.id) || ownClock.isOff()) return null;
      const { job: spec } = job.record;
      if (spec.mode === 'all') {
        const self = mirror.workers.get(settings.id);
        return fits(spec, self?.record ?? settings) ? { place: 0, runnable: true } : null;
      }
      const pool = poolOf(spec);
      const place = placeIn(pool, job.hash, settings.id, times.deputyDelays.length);
      return place === null ? null : { place, runnable: pool.runnable };
    },

    /** The same for an order, whose job may be gone. */
    ofOrder(id: JobId): number | null {
      const job = mirror.jobs.get(id);
      if (job !== undefined) return this.of(job)?.place ?? null;
      // Of a job that is gone only the books are left to keep: any one will do, as long as all agree.
      const ids = [...mirror.workers.keys()].sort();
      return ids[hashOf(id) % Math.max(1, ids.length)] === settings.id ? 0 : null;
    },
  };
}
export type Places = ReturnType<typeof createPlaces>;
