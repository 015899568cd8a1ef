import * as v from 'valibot';
import { scheduleOf } from '#core/cluster/check-job.ts';
import type { JobStore } from '#core/cluster/job-record.ts';
import { deleteJob, getJob, pauseJob, resumeJob, saveJob, skipInstant } from '#core/cluster/jobs.ts';
import { askKill, livingRuns } from '#core/cluster/kills.ts';
import { orderBackfill, orderRun } from '#core/cluster/orders.ts';
import { Job, type JobInput } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Chance } from './chance.ts';
import { type ActKind, commandText, policyOf, scheduleText, targetOf } from './scenario.ts';
import { isStoreAway } from './sim-agent.ts';
import type { SimHistory } from './sim-history.ts';

const by = 'somebody';

/** People at the API: what they do goes through the API's own transactions. */
export function createUser(
  store: JobStore,
  jobs: readonly string[],
  hosts: readonly string[],
  history: SimHistory,
  chance: Chance,
) {
  async function act(kind: ActKind, ms: number): Promise<void> {
    const id = chance.pick([jobs[0] ?? '', ...jobs.slice(1)]);
    const job = await getJob(store, id);
    if (job === null) return;
    const spec = job.record.job;
    const save = (change: Partial<JobInput>) =>
      saveJob(store, v.parse(Job, { ...spec, ...change }), { by, condition: {}, cronExpr: null });
    switch (kind) {
      case 'edit':
        return void (await save({ schedule: scheduleText(chance) }));
      case 'command':
        return void (await save({
          command: commandText(chance),
          overlap: chance.pick(['skip', 'queue', 'allow', 'replace']),
        }));
      case 'aim': {
        const target = targetOf(chance, hosts.length);
        const mode = chance.pick([spec.mode, hosts.length > 1 ? ('all' as const) : 'one', 'one'] as const);
        return void (await save({ mode, ...(target === undefined ? {} : { target }) }));
      }
      case 'policy':
        return void (await save(policyOf(chance)));
      case 'storm': {
        for (let n = 0; n < 8; n += 1)
          await orderRun(store, job, { id: chance.id(), env: {}, worker: null, by });
        return;
      }
      case 'toggle':
        return void (await save({ enabled: !spec.enabled }));
      case 'recreate':
        await deleteJob(store, id, {});
        return void (await saveJob(store, spec, { by, condition: { absent: true }, cronExpr: null }));
      case 'pause':
        return void (await pauseJob(store, id, {
          by,
          reason: '',
          until: chance.happens(0.5) ? store.now() + ms + 1 : null,
        }));
      case 'resume':
        return void (await resumeJob(store, id));
      case 'skip': {
        const next = scheduleOf(spec)?.next(store.now() + chance.between(0, 10_000)) ?? null;
        return next === null ? undefined : void (await skipInstant(store, id, next));
      }
      case 'kill': {
        const [first, ...rest] = await livingRuns(store, id);
        if (first === undefined) return;
        const { run } = chance.pick([first, ...rest]);
        return void (await askKill(store, run, history.records.get(run) ?? null, {
          by,
          signal: null,
          graceMs: null,
        }));
      }
      case 'run': {
        const worker = chance.happens(0.2) ? chance.pick([hosts[0] ?? '', ...hosts.slice(1)]) : null;
        return void (await orderRun(store, job, { id: chance.id(), env: {}, worker, by }));
      }
      case 'backfill': {
        const to = store.now() - ms;
        return void (await orderBackfill(store, job, { id: chance.id(), from: to - 20_000, to, by }));
      }
    }
  }
  return {
    async act(kind: ActKind, ms: number): Promise<void> {
      try {
        await act(kind, ms);
      } catch (error) {
        // People get refusals, and see the store away, too; anything else is a fault of the API's protocol.
        if (!(error instanceof Refusal) && !isStoreAway(error)) throw error;
      }
    },
    /** Before the quiet: every job stands, is enabled and goes on. */
    async calm(): Promise<void> {
      for (const id of jobs) {
        const job = await getJob(store, id);
        if (job === null) continue;
        if (!job.record.job.enabled)
          await saveJob(store, { ...job.record.job, enabled: true }, { by, condition: {}, cronExpr: null });
        if (job.record.paused !== null) await resumeJob(store, id);
      }
    },
  };
}
