import * as v from 'valibot';
import { cancelOrder, type FoundRun, findRun } from '#core/cluster/find-run.ts';
import { askKill, withKill } from '#core/cluster/kills.ts';
import { durationMs } from '#core/model/duration.ts';
import { jobId, parseJobId, parseRunId } from '#core/model/ids.ts';
import { signalNames } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import { LogPart, listOf, RunView } from '../answers.ts';
import { audit } from '../audit.ts';
import { checkGroup, groupsOf, storeOf } from '../deps.ts';
import { defined, duration, jobText, name, number, paging, state, time, trigger } from '../fields.ts';
import { inTime } from '../in-time.ts';
import { type Asked, type Asking, route } from '../route.ts';
import { longestWaitS, showLog } from '../run-log.ts';
import { runView } from '../views.ts';

function notFound(id: string): Refusal {
  return new Refusal('run_not_found', `run: there is no run ${JSON.stringify(id)}`);
}

/** A run that the caller may see, wherever it stands. Refusals `run_id_invalid`, `forbidden`, `run_not_found`. */
async function runOf({ c, deps, caller }: Asking): Promise<FoundRun> {
  const id = c.req.param('run') ?? '';
  checkGroup(caller, parseRunId(id).group);
  const { clock, history } = deps;
  const found = await findRun(storeOf(deps), { run: (one) => inTime(clock, history.run(one)) }, id);
  if (found === null) throw notFound(id);
  return found;
}

/** `job=` takes `name` with `group=`, else in group `default`, or `group/name`. */
function jobFilter({ job, group }: { job?: string | undefined; group?: string | undefined }) {
  if (job === undefined) return group === undefined ? {} : { group };
  const named = parseJobId(job, group);
  if (group !== undefined && named.group !== group)
    throw new Refusal('query_invalid', `job: names group ${named.group}, and group= another`);
  return named;
}

const listQuery = v.strictObject({
  ...paging,
  job: v.optional(jobText),
  group: v.optional(name),
  worker: v.optional(name),
  state: v.optional(state),
  trigger: v.optional(trigger),
  from: v.optional(time),
  to: v.optional(time),
});

const killBody = v.strictObject({
  signal: v.optional(v.nullable(v.picklist(signalNames)), null),
  grace: v.optional(v.nullable(duration(0, 3_600_000, 'expected a duration such as 10s, at most 1h')), null),
});

/** Takes an order back whose run has not been taken. Null: it has, meanwhile. */
async function takeBack({ c, deps, caller }: Asking, { run, order }: FoundRun): Promise<Run | null> {
  if (order === null) return null;
  const { value, id } = order;
  if (value.kind !== 'run' && run.instant !== value.next)
    throw new Refusal(
      'run_waiting',
      `run: ${run.id} waits in order ${id} behind others; kill its next run, and what follows is cancelled with it`,
    );
  const taken = await cancelOrder(storeOf(deps), order, caller.name);
  if (taken === null) return null;
  try {
    await deps.history.saveRuns([taken.record]);
    await taken.settle();
  } catch (error) {
    // It is owed now: a keeper brings it to History.
    const { method, path } = c.req;
    deps.events.emit({ type: 'http.fault', method, path, requestId: c.get('requestId'), error });
  }
  return taken.record;
}

async function kill(asked: Asked<undefined, v.InferOutput<typeof killBody>>): Promise<Response> {
  const { c, deps, caller, body } = asked;
  const found = await runOf(asked);
  const { id, group, name: jobName } = found.run;
  const tell = () => audit(asked, 'run.kill', { job: jobId(group, jobName), target: id });
  const cancelled = await takeBack(asked, found);
  if (cancelled !== null) {
    await tell();
    return c.json(runView(cancelled), 202);
  }
  // An order that somebody took meanwhile is a run that lives.
  const { run } = found.order === null ? found : await runOf(asked);
  const graceMs = body.grace === null ? null : durationMs(body.grace);
  const how = { by: caller.name, signal: body.signal, graceMs };
  const { standing, fresh } = await askKill(storeOf(deps), id, run, how);
  if (fresh) await tell();
  return c.json(runView(withKill(run, standing)), 202);
}

export const runRoutes = [
  route({
    ...{ method: 'GET', path: '/runs', role: 'viewer', summary: 'List runs, newest first' },
    ...{ query: listQuery, answer: listOf(RunView) },
    async handle({ c, deps, caller, query }) {
      const { job, group, ...rest } = query;
      const page = await deps.history.runs({
        ...defined(rest),
        limit: query.limit,
        ...jobFilter({ job, group }),
        ...groupsOf(caller),
      });
      return c.json({ items: page.items.map(runView), next: page.next });
    },
  }),
  route({
    ...{ method: 'GET', path: '/runs/:run', role: 'viewer', summary: 'Show a run', answer: RunView },
    handle: async (asked) => asked.c.json(runView((await runOf(asked)).run)),
  }),
  route({
    ...{ method: 'GET', path: '/runs/:run/log', role: 'viewer', summary: "Read a run's log", refuses: [413] },
    query: v.strictObject({
      from: v.optional(number(0, Number.MAX_SAFE_INTEGER), '0'),
      wait: v.optional(number(0, longestWaitS), '0'),
    }),
    answer: LogPart,
    also: {
      'text/plain':
        'The whole from `from` on, as it was kept. `x-cronfleet-complete: false` says that its end is not in it: the run lives, or its output is still on its way, or was lost; `x-cronfleet-dropped-bytes` how many bytes of the output were left out',
      'text/event-stream':
        'LogPart by LogPart as it grows, `log` and at last `done`; `refused` with a problem where it can not go on',
    },
    headers: { Accept: 'Which of the three forms', 'Last-Event-ID': 'Where a reader of events was cut off' },
    handle: async (asked) => showLog(asked, (await runOf(asked)).run),
  }),
  route({
    ...{ method: 'POST', path: '/runs/:run/kill', role: 'operator', summary: 'Kill a run' },
    ...{ body: killBody, answer: RunView, statuses: [202], refuses: [409], handle: kill },
  }),
];
