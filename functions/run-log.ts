import type { Context } from 'hono';
import { accepts } from 'hono/accepts';
import { streamSSE } from 'hono/streaming';
import type * as v from 'valibot';
import { Refusal } from '#core/model/refusal.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import type { LogPart } from './answers.ts';
import type { AppDeps, Env } from './deps.ts';
import { problemDetails } from './problem.ts';
import type { Asked } from './route.ts';

/** A page of a log. Of control characters it is seven times as long where JSON travels in JSON, and Lambda lets 6 MB through. */
const pageBytes = 524_288;
/** Below the 30 s that gateways give a request. */
export const longestWaitS = 29;
/** Who may not read any more reads no further than this on, however long an answer takes. */
const recheckMs = 5_000;
/**
 * Behind a backlog records go to History before output: so long after a run's end what it has printed may still be on its way, where its
 * worker does not say that nothing is.
 */
const underwayMs = 3_600_000;
/** By so much a worker's clock may be ahead of this one, and both within what is allowed. */
const clocksMs = 1_000;
const never = new AbortController().signal;

type Reading = Asked<{ from: number; wait: number }>;

/** The log in whichever form is asked for: a page of it, the whole, or as it grows. */
export async function showLog(asked: Reading, run: Run): Promise<Response> {
  const { c, deps, query } = asked;
  const { gateway } = deps;
  const forms = ['application/json', 'text/plain'];
  const type = accepts(c, {
    header: 'Accept',
    supports: gateway === undefined ? [...forms, 'text/event-stream'] : forms,
    default: 'application/json',
  });
  if (type === 'text/event-stream') return follow(asked, run);
  if (type === 'text/plain')
    return gateway === undefined ? streamed(asked, run) : inOnePiece(asked, run, gateway.rawMax);
  const waitMs = Math.min(query.wait * 1_000, gateway?.restMs(c.env) ?? Number.POSITIVE_INFINITY);
  return c.json(await readLog(asked, run, query.from, waitMs, c.req.raw.signal ?? never));
}

/** The raw log in one piece. Refusal `log_too_large`: what was cut off would pass for the whole. */
async function inOnePiece({ c, deps, query }: Reading, run: Run, max: number): Promise<Response> {
  const headers = await rawHeaders(deps, run);
  const parts: Uint8Array[] = [];
  let size = 0;
  for (let from = query.from; ; ) {
    const read = await deps.history.log(run.id, from, pageBytes);
    parts.push(read.data);
    size += read.data.length;
    if (size > max)
      throw new Refusal(
        'log_too_large',
        `log: from byte ${query.from} on it is longer than the ${max} bytes that fit in an answer here; read it page by page, as JSON`,
      );
    if (read.next === from) break;
    from = read.next;
  }
  return c.body(Buffer.concat(parts), 200, headers);
}

/** A raw log can't say of itself that its end is missing. */
async function rawHeaders({ history }: AppDeps, run: Run): Promise<Record<string, string>> {
  return {
    'content-type': 'text/plain; charset=utf-8',
    'content-disposition': `attachment; filename="${run.id}.log"`,
    'x-cronfleet-complete': String(await hasEnd(history, run)),
    'x-cronfleet-dropped-bytes': String(run.droppedBytes),
  };
}

/** Whether the end of a run's output is at History, and so all before it that was kept. Of one that lives, or was lost, nobody knows where it is. */
async function hasEnd(history: AppDeps['history'], { id, state, bytes }: Run): Promise<boolean> {
  if (!isTerminal(state) || state === 'lost') return false;
  return bytes === 0 || (await history.log(id, bytes - 1, 1)).data.length > 0;
}

/** The log as it was kept. A fault in its middle breaks it off, so that nobody takes what has come for the whole. */
async function streamed({ c, deps, query, stillAllowed }: Reading, run: Run): Promise<Response> {
  const headers = await rawHeaders(deps, run);
  const read = (from: number) => deps.history.log(run.id, from, pageBytes);
  // The first page before anything is answered: what goes wrong here can still be said.
  let page: Awaited<ReturnType<typeof read>> | null = await read(query.from);
  let from = query.from;
  const body = new ReadableStream<Uint8Array>({
    async pull(out) {
      try {
        // A pull that gives nothing is not followed by another: over a gap it goes on by itself.
        for (let given = false; !given; ) {
          await stillAllowed();
          page ??= await read(from);
          given = page.data.length > 0;
          if (given) out.enqueue(page.data);
          if (page.next === from) {
            out.close();
            return;
          }
          from = page.next;
          page = null;
        }
      } catch (error) {
        if (!(error instanceof Refusal)) told(c, deps, error);
        out.error(error);
      }
    },
  });
  return c.body(body, 200, headers);
}

/** The log as server-sent events; `Last-Event-ID` is where a reader was cut off. What goes wrong ends it with `refused`. */
function follow(asked: Reading, run: Run): Response {
  const { c, deps, query } = asked;
  const seen = c.req.header('last-event-id') ?? '';
  return streamSSE(c, async (out) => {
    const stop = new AbortController();
    out.onAbort(() => stop.abort());
    try {
      for (let from = /^\d{1,15}$/.test(seen) ? Number(seen) : query.from; !stop.signal.aborted; ) {
        const part = await readLog(asked, run, from, longestWaitS * 1_000, stop.signal);
        const event = part.done ? 'done' : 'log';
        await out.writeSSE({ id: String(part.next), event, data: JSON.stringify(part) });
        if (part.done) return;
        from = part.next;
      }
    } catch (error) {
      const details = problemDetails(c, error, (fault) => told(c, deps, fault));
      await out.writeSSE({ event: 'refused', data: JSON.stringify(details) });
    }
  });
}

function told(c: Context<Env>, { events }: AppDeps, error: unknown): void {
  const { method, path } = c.req;
  events.emit({ type: 'http.fault', method, path, requestId: c.get('requestId'), error });
}

/** What there is of a log from `from` on; waits for more up to `waitMs` while the run lives. Refusals of `stillAllowed`. */
async function readLog(
  { deps, stillAllowed }: Reading,
  run: Run,
  from: number,
  waitMs: number,
  stop: AbortSignal,
): Promise<v.InferOutput<typeof LogPart>> {
  const { history, clock } = deps;
  const until = clock.boot() + waitMs;
  /** When the end of the run was first seen here. */
  let endSeenAt: number | null = null;
  const kept = keptOf(history, run.id);
  for (;;) {
    await stillAllowed();
    const known = (await history.run(run.id)) ?? run;
    const read = await history.log(run.id, from, pageBytes);
    const ahead = await history.log(run.id, read.next, 1);
    const ended = isTerminal(known.state) && ahead.data.length === 0;
    if (ended) endSeenAt ??= clock.now();
    const missing = Math.max(0, known.bytes - read.next);
    const atEnd = ended && !(await mayCome(deps, known, missing, kept, endSeenAt ?? 0));
    // Neither the end nor a gap of what was not kept will be followed by the rest of a character.
    const last = atEnd || ahead.dropped > 0;
    const cut = last ? 0 : read.data.length - wholeCharacters(read.data);
    const shown = read.data.subarray(0, read.data.length - cut);
    // What is missing stands behind what there is: it is told by a part of its own.
    const done = atEnd && (missing === 0 || shown.length === 0);
    const restMs = until - clock.boot();
    if (shown.length > 0 || done || restMs <= 0 || stop.aborted)
      return {
        text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(shown),
        from,
        next: done ? read.next + missing : shown.length > 0 ? read.next - cut : from,
        done,
        droppedBytes: read.dropped + (done ? missing : 0),
      };
    await history.waitForLog(run.id, Math.min(restMs, recheckMs), stop);
  }
}

/**
 * Whether of the output of a run that has ended more will come, where its last `missing` bytes are not there. Not if all is there that its
 * record says was kept, nor if its worker's spool was empty after the record was here: output is in the spool before the record.
 */
async function mayCome(
  { history, clock }: AppDeps,
  { bytes, droppedBytes, endedAt, worker }: Run,
  missing: number,
  kept: () => Promise<number>,
  endSeenAt: number,
): Promise<boolean> {
  if (missing === 0 || clock.now() - (endedAt ?? 0) >= underwayMs) return false;
  // What was left out may have been left out in the middle: only all that is there tells whether the end was.
  if (missing <= droppedBytes && (await kept()) >= bytes - droppedBytes) return false;
  const [load] = worker === null ? [] : await history.loads([worker]);
  return (load?.spoolEmptyAt ?? 0) <= endSeenAt + clocksMs;
}

/** Counts the bytes that there are of a log, each time only what has come since. */
function keptOf(history: AppDeps['history'], id: Run['id']): () => Promise<number> {
  let [next, count] = [0, 0];
  return async () => {
    for (;;) {
      const read = await history.log(id, next, pageBytes);
      if (read.next === next) return count;
      count += read.data.length;
      next = read.next;
    }
  };
}

/** How many of the bytes may be shown now: a character that is not whole yet waits for its rest. */
function wholeCharacters(data: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, data.length); back += 1) {
    const byte = data[data.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf8 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? data.length - back : data.length;
  }
  return data.length;
}
