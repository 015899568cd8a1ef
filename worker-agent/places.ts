import { commonTzdata, fits, hashOf, rank } from '#core/decide/placement.ts';
import type { JobId } from '#core/model/ids.ts';
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
  let candidates: Parameters<typeof rank>[2][number][] = [];
  let common = '';
  let apart = false;

  return {
    lookAround(): void {
      candidates = [...mirror.workers].map(([id, { record, hash }]) => ({
        worker: record,
        draining: mirror.drains.has(id),
        hash,
      }));
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
      const { order, runnable } = rank(spec, job.hash, candidates, common);
      const place = order.indexOf(settings.id);
      return place < 0 || place >= times.deputyDelays.length ? null : { place, runnable };
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
