import { stream, streamSSE } from 'hono/streaming';
import * as v from 'valibot';
import { oneLane } from '#core/cluster/keys.ts';
import { askKill } from '#core/cluster/kills.ts';
import { decode, RunningValue } from '#core/cluster/records.ts';
import { durationMs, isDuration } from '#core/model/duration.ts';
import { jobId, parseJobId, parseRunId } from '#core/model/ids.ts';
import { signalNames } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun, isTerminal, type Run } from '#core/model/run.ts';
import { audit } from '../audit.ts';
import { type AppDeps, type Caller, mayTouch, storeOf } from '../deps.ts';
import { name, number, paging, state, time, trigger } from '../fields.ts';
import { type Asked, route } from '../route.ts';
import { runView } from '../views.ts';

/** A page of a log: far below what a gateway lets through. */
const pageBytes = 1_048_576;
const longestWaitS = 29;
const never = new AbortController().signal;

/** `job=` with `group=`: `name`, or `group/name`. */
export function jobFilter({ job, group }: { job?: string | undefined; group?: string | undefined }): {
  group?: string;
  name?: string;
} {
  if (job === undefined) return group === undefined ? {} : { group };
  return parseJobId(job, group ?? 'default');
}

/** A run that the caller may see. Refusal `run_not_found`. */
async function runOf({
  c,
  deps,
  caller,
}: Pick<Asked<unknown, unknown>, 'c' | 'deps' | 'caller'>): Promise<Run> {
  const id = c.req.param('run') ?? '';
  const parts = parseRunId(id);
  if (!mayTouch(caller, parts.group))
    throw new Refusal('forbidden', `group: this token is not for group ${parts.group}`);
  const known = await deps.history.run(id);
  if (known !== null) return known;
  const key = deps.layout.run(jobId(parts.group, parts.name), parts.worker ?? oneLane, id);
  const { entries } = await deps.kv.range({ key });
  const read = entries[0] === undefined ? null : decode(RunningValue, entries[0]);
  if (read?.ok) {
    const { value } = read;
    return blankRun({
      ...{
        id,
        group: parts.group,
        name: parts.name,
        state: value.state,
        instant: value.instant,
        attempt: value.attempt,
      },
      ...{
        trigger: value.trigger,
        worker: value.worker,
        by: value.by,
        plannedAt: value.instant ?? value.notBefore,
      },
    });
  }
  // An order that nobody has taken yet is a run that waits.
  const order = await deps.kv.range({
    key: deps.layout.order(
      jobId(parts.group, parts.name),
      parts.worker === null ? parts.cause : `${parts.cause}~${parts.worker}`,
    ),
  });
  if (order.entries[0] !== undefined && parts.attempt === 1)
    return blankRun({
      id,
      group: parts.group,
      name: parts.name,
      state: 'waiting',
      trigger: 'manual',
      reason: 'ordered; no worker has taken it yet',
    });
  throw new Refusal('run_not_found', `run: there is no run ${JSON.stringify(id)}`);
}

const listQuery = v.strictObject({
  ...paging,
  job: v.optional(v.string()),
  group: v.optional(name),
  worker: v.optional(name),
  state: v.optional(state),
  trigger: v.optional(trigger),
  from: v.optional(time),
  to: v.optional(time),
});

function groupsOf(caller: Caller): { groups?: readonly string[] } {
  return caller.groups === null ? {} : { groups: caller.groups };
}

function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never;
}

/** The whole output, byte for byte as it was kept. */
async function* wholeLog(deps: AppDeps, run: string): AsyncGenerator<Uint8Array> {
  for (let from = 0; ; ) {
    const read = await deps.history.log(run, from, pageBytes);
    if (read.data.length > 0) yield read.data;
    if (read.next === from) return;
    from = read.next;
  }
}

/** How many of the bytes may be shown now: a character that is not whole yet waits for its rest. */
function wholeCharacters(data: Uint8Array): number {
  for (let back = 1; back <= Math.min(4, data.length); back += 1) {
    const byte = data[data.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? data.length - back : data.length;
  }
  return data.length;
}

/** What there is of a log from `from` on; waits for more up to `waitMs` while the run lives. */
async function readLog(deps: AppDeps, run: Run, from: number, waitMs: number, stop: AbortSignal) {
  const until = deps.clock.boot() + waitMs;
  for (;;) {
    const present = (await deps.history.run(run.id)) ?? run;
    const read = await deps.history.log(run.id, from, pageBytes);
    const ended = isTerminal(present.state);
    const whole = ended ? read.data.length : wholeCharacters(read.data);
    const next = read.next - (read.data.length - whole);
    // Records may be there before the last of the output: done is when all that was kept has been read.
    const done = ended && read.data.length === 0;
    const restMs = until - deps.clock.boot();
    if (whole > 0 || done || restMs <= 0 || stop.aborted)
      return {
        text: new TextDecoder().decode(read.data.subarray(0, whole)),
        from,
        next: whole > 0 ? next : from,
        done,
        droppedBytes: read.dropped,
      };
    await deps.history.waitForLog(run.id, restMs, stop);
  }
}

const logQuery = v.strictObject({
  from: v.optional(number(0, Number.MAX_SAFE_INTEGER), '0'),
  wait: v.optional(number(0, longestWaitS), '0'),
});

async function showLog(asked: Asked<v.InferOutput<typeof logQuery>, undefined>): Promise<Response> {
  const { c, deps, query } = asked;
  const run = await runOf(asked);
  const accept = c.req.header('accept') ?? '';
  if (accept.includes('text/plain')) {
    c.header('content-type', 'text/plain; charset=utf-8');
    c.header('content-disposition', `attachment; filename="${run.id}.log"`);
    return stream(c, async (out) => {
      for await (const piece of wholeLog(deps, run.id)) await out.write(piece);
    });
  }
  if (accept.includes('text/event-stream'))
    return streamSSE(c, async (out) => {
      const stop = new AbortController();
      out.onAbort(() => stop.abort());
      for (let from = query.from; !stop.signal.aborted; ) {
        const part = await readLog(deps, run, from, longestWaitS * 1_000, stop.signal);
        await out.writeSSE({
          id: String(part.next),
          event: part.done ? 'done' : 'log',
          data: JSON.stringify(part),
        });
        if (part.done) return;
        from = part.next;
      }
    });
  return c.json(await readLog(deps, run, query.from, query.wait * 1_000, c.req.raw.signal ?? never));
}

const killBody = v.strictObject({
  signal: v.optional(v.nullable(v.picklist(signalNames)), null),
  grace: v.optional(
    v.nullable(v.pipe(v.string(), v.check(isDuration, 'expected a duration such as 10s'))),
    null,
  ),
});

export const runRoutes = [
  route({
    ...{ method: 'GET', path: '/runs', role: 'viewer', summary: 'List runs, newest first', query: listQuery },
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
    ...{ method: 'GET', path: '/runs/:run', role: 'viewer', summary: 'Show a run' },
    handle: async (asked) => asked.c.json(runView(await runOf(asked))),
  }),
  route({
    method: 'GET',
    path: '/runs/:run/log',
    role: 'viewer',
    summary: "Read a run's log",
    query: logQuery,
    handle: showLog,
  }),
  route({
    ...{
      method: 'POST',
      path: '/runs/:run/kill',
      role: 'operator',
      summary: 'Kill a run',
      body: killBody,
      status: 202,
    },
    async handle(asked) {
      const { c, deps, caller, body } = asked;
      const id = c.req.param('run') ?? '';
      const { group, name: jobName } = parseRunId(id);
      if (!mayTouch(caller, group))
        throw new Refusal('forbidden', `group: this token is not for group ${group}`);
      const graceMs = body.grace === null ? null : durationMs(body.grace);
      const standing = await askKill(storeOf(deps), id, await deps.history.run(id), {
        by: caller.name,
        signal: body.signal,
        graceMs,
      });
      const run = await runOf(asked);
      await audit(asked, 'run.kill', { job: jobId(group, jobName), target: id });
      const kill =
        run.kill ??
        (standing && {
          by: standing.by,
          requestedAt: standing.at,
          signalledAt: standing.signalledAt,
          confirmedAt: standing.confirmedAt,
          certain: null,
        });
      return c.json(runView({ ...run, kill }), 202);
    },
  }),
];
