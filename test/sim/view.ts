import type { Mirror } from '#agent/mirror.ts';
import type { Layout } from '#core/cluster/keys.ts';
import type { SimLog } from './sim-log.ts';

/** What one worker believes the store to hold, beside what it holds. */
export interface View {
  worker: string;
  /** True ms. */
  at: number;
  /** Keys about which the two differ, each with both revisions; '0': no such key. */
  differs: { key: string; seen: string; stands: string }[];
}

/** By revisions: the value of a key at one revision is the same for all. */
export function viewOf(worker: string, mirror: Mirror, log: SimLog, layout: Layout, at: number): View {
  const seen = new Map<string, string>();
  for (const [job, { mod }] of mirror.jobs) seen.set(layout.job(job), mod);
  for (const [id, { incarnation }] of mirror.workers) seen.set(layout.worker(id), incarnation);
  for (const id of mirror.drains) seen.set(layout.drain(id), 'there');
  for (const [key, { mod }] of mirror.orders) seen.set(key, mod);
  for (const [run, { mod }] of mirror.kills) seen.set(layout.kill(run), mod);
  const stands = new Map<string, string>();
  for (const { key, mod, create } of log.present.values()) {
    if (key.startsWith(layout.drains)) stands.set(key, 'there');
    else if (key.startsWith(layout.workers)) stands.set(key, create);
    else if ([layout.jobs, layout.orders, layout.kills].some((prefix) => key.startsWith(prefix)))
      stands.set(key, mod);
  }
  const keys = new Set([...seen.keys(), ...stands.keys()]);
  const differs = [...keys].flatMap((key) => {
    const [mine, true_] = [seen.get(key) ?? '0', stands.get(key) ?? '0'];
    return mine === true_ ? [] : [{ key, seen: mine, stands: true_ }];
  });
  return { worker, at, differs };
}
