import { Refusal } from '#core/model/refusal.ts';
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
  for (let from = 0; ; ) {
    const part = (await api.get(`${path}/log`, { from: String(from), wait: waitS })) as LogPage;
    terminal.write(part.text);
    if (part.text !== '') ended = part.text.endsWith('\n');
    from = part.next;
    if (!part.done) continue;
    // Output without a last new line stays as it is on stdout; what is said on stderr begins a line of its own.
    if (!ended) terminal.note('');
    if (part.droppedBytes > 0) terminal.note(`${part.droppedBytes} bytes of its output were not kept`);
    onInterrupt(null);
    return (await api.get(path)) as Run;
  }
}

/** Writes what there is of a run's output: raw, or page by page where the host gives no more than that at once. */
export async function writeLog({ api: server, terminal }: Context, run: string): Promise<void> {
  const api = server();
  const path = `/runs/${encodeURIComponent(run)}/log`;
  const decoder = new TextDecoder();
  try {
    const { body } = await api.raw(path, 'text/plain');
    for await (const piece of body ?? []) terminal.write(decoder.decode(piece, { stream: true }));
    terminal.write(decoder.decode());
    return;
  } catch (error) {
    if (!(error instanceof Refusal && error.code === 'log_too_large')) throw error;
  }
  for (let from = 0; ; ) {
    const part = (await api.get(path, { from: String(from) })) as LogPage;
    terminal.write(part.text);
    if (part.done || part.next === from) return;
    from = part.next;
  }
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
