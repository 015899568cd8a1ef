import type { JobId, RunId } from '#core/model/ids.ts';

/** The lane of a job in mode one; in mode all a lane is the worker's id. */
export const oneLane = '~';

/**
 * Every key of the layout, below one prefix (`/cron/`). Job ids hold one slash and no lane, run or worker id holds
 * any, so no key is a prefix of another kind's.
 */
export function layout(prefix = '/cron/') {
  return {
    prefix,
    jobs: `${prefix}jobs/`,
    job: (job: JobId) => `${prefix}jobs/${job}`,
    cursors: `${prefix}cursors/`,
    cursorsOf: (job: JobId) => `${prefix}cursors/${job}/`,
    cursor: (job: JobId, lane: string) => `${prefix}cursors/${job}/${lane}`,
    running: `${prefix}running/`,
    /** Every lane of a job. */
    runningJob: (job: JobId) => `${prefix}running/${job}/`,
    runningLane: (job: JobId, lane: string) => `${prefix}running/${job}/${lane}/`,
    run: (job: JobId, lane: string, run: RunId) => `${prefix}running/${job}/${lane}/${run}`,
    owed: `${prefix}owed/`,
    owing: (id: string) => `${prefix}owed/${id}`,
    workers: `${prefix}workers/`,
    worker: (id: string) => `${prefix}workers/${id}`,
    drains: `${prefix}drains/`,
    drain: (worker: string) => `${prefix}drains/${worker}`,
    tokens: `${prefix}tokens/`,
    token: (id: string) => `${prefix}tokens/${id}`,
    channels: `${prefix}channels/`,
    channel: (name: string) => `${prefix}channels/${name}`,
    /** `history`: who tells that History, which has the outbox, is away; `watchdog`: the last look. */
    alert: (id: string) => `${prefix}alerts/${id}`,
    /** Who did what, until History has it: it was away. */
    audits: `${prefix}audits/`,
    audit: (id: string) => `${prefix}audits/${id}`,
    orders: `${prefix}orders/`,
    ordersOf: (job: JobId) => `${prefix}orders/${job}/`,
    order: (job: JobId, id: string) => `${prefix}orders/${job}/${id}`,
    kills: `${prefix}kills/`,
    kill: (run: RunId) => `${prefix}kills/${run}`,
  };
}
export type Layout = ReturnType<typeof layout>;

/** `group/name` and what follows, of a key below one of the layout's prefixes; null when it isn't ours. */
export function splitKey(prefix: string, key: string): { job: JobId; rest: string[] } | null {
  if (!key.startsWith(prefix)) return null;
  const [group, name, ...rest] = key.slice(prefix.length).split('/');
  return group && name ? { job: `${group}/${name}`, rest } : null;
}
