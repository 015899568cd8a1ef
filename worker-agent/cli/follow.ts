import { Refusal } from '#core/model/refusal.ts';
import { isTerminal } from '#core/model/run.ts';
import type { Api } from './api-client.ts';
import type { Context } from './command.ts';
import { plain } from './terminal.ts';
import type { Run } from './views.ts';

/** Long polls, each this long (seconds): under what gateways cut. */
const waitS = '20';

interface LogPage {
  text: string;
  next: number;
  done: boolean;
  droppedBytes: number;
}

/** Writes a run's output as it comes, from its beginning; gives the run when it has ended. */
export async function follow(context: Context, run: string): Promise<Run> {
  const { terminal, onInterrupt } = context;
  const api = context.api();
  const path = `/runs/${encodeURIComponent(run)}`;
  onInterrupt(`the run goes on. Its output: cronfleet logs ${run} -f   Its end: cronfleet kill ${run}`);
  let ended = true;
  let dropped = 0;
  for (let from = 0; ; ) {
    const part = (await api.get(`${path}/log`, { from: String(from), wait: waitS })) as LogPage;
    terminal.write(part.text);
    dropped += part.droppedBytes;
    if (part.text !== '') ended = part.text.endsWith('\n');
    from = part.next;
    if (!part.done) continue;
    // Output without a last new line stays as it is on stdout; what is said on stderr begins a line of its own.
    if (!ended) terminal.note('');
    if (dropped > 0) terminal.note(`${dropped} bytes of its output were not kept`);
    onInterrupt(null);
    return (await api.get(path)) as Run;
  }
}

/** Writes what there is of a run's output: raw, or page by page where the host gives no more than that at once. */
export async function writeLog(context: Context, run: string): Promise<void> {
  const { terminal } = context;
  const api = context.api();
  const path = `/runs/${encodeURIComponent(run)}`;
  let ended = true;
  const write = (text: string) => {
    terminal.write(text);
    if (text !== '') ended = text.endsWith('\n');
  };
  const whole = await writeRaw(api, path, write).catch((error: unknown) => {
    if (error instanceof Refusal && error.code === 'log_too_large') return writePages(api, path, write);
    throw error;
  });
  if (whole) return;
  if (!ended) terminal.note('');
  terminal.note(whyShort((await api.get(path)) as Run));
}

/** Both say whether its end is in it. */
type Write = (text: string) => void;
async function writeRaw(api: Api, path: string, write: Write): Promise<boolean> {
  const decoder = new TextDecoder();
  const { body, headers } = await api.raw(`${path}/log`, 'text/plain');
  for await (const piece of body ?? []) write(decoder.decode(piece, { stream: true }));
  write(decoder.decode());
  return headers.get('x-cronfleet-complete') !== 'false';
}

async function writePages(api: Api, path: string, write: Write): Promise<boolean> {
  for (let from = 0; ; ) {
    const part = (await api.get(`${path}/log`, { from: String(from) })) as LogPage;
    write(part.text);
    if (part.done || part.next === from) return part.done && part.droppedBytes === 0;
    from = part.next;
  }
}

function whyShort({ id, state, worker, bytes }: Run): string {
  if (state === 'lost') return 'it was lost: whether this is all of its output nobody knows';
  if (!isTerminal(state)) return `it has not ended; cronfleet logs ${id} -f goes on as it comes`;
  return `this is not all of its ${bytes} bytes: the rest waits on ${worker ?? 'its worker'} for the history, or was lost; cronfleet logs ${id} -f waits for it`;
}

/** Follows each; gives the first exit code that is not 0. */
export async function followRuns(context: Context, runs: readonly string[]): Promise<number> {
  let code = 0;
  for (const id of runs) {
    const run = await follow(context, id);
    if (run.state !== 'succeeded')
      context.terminal.note(`${id}: ${run.state}${run.reason ? ` (${plain(run.reason)})` : ''}`);
    if (code === 0) code = exitCodeOf(run);
  }
  return code;
}

/** The job's own code; 124 where it timed out, 125 where it did not end by itself (skipped, lost, killed, expired). */
function exitCodeOf({ state, exitCode }: Run): number {
  if (state === 'timed_out') return 124;
  return state === 'succeeded' || state === 'failed' ? (exitCode ?? 125) : 125;
}
