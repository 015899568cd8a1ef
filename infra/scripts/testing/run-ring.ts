import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectFolder } from '../sources/project-files.ts';
import { killAll, leftoversOf, processesOf } from './leftovers.ts';
import { addTally, emptyTally, type Tally, tallyMark } from './tally.ts';

export interface RingRun {
  tally: Tally;
  /** What went wrong, for people; empty where nothing did. */
  report: string;
  durationMs: number;
}

export interface RingOptions {
  concurrency: number;
  /** After this the ring is killed, with what it started, and has failed. */
  deadlineMs: number;
  /** How long a process that a test ended may take to be gone. */
  graceMs: number;
  /** Ends the ring early, as Ctrl-C does. */
  stop: AbortSignal;
}

/** A hanging test is named by itself long before the ring's own deadline. */
const testTimeoutMs = 600_000;

/**
 * Runs test files by `node --test`, in a session of their own with a temporary folder of their own. A process or a file
 * that is left afterwards is a failure: tests clean up after themselves, or the code under test does not.
 */
export async function runRing(files: readonly string[], options: RingOptions): Promise<RingRun> {
  const started = performance.now();
  // Short: Chromium puts a socket below it, and the path of a socket has 107 characters at most.
  const tag = `cft-${randomBytes(6).toString('hex')}`;
  const temp = join(tmpdir(), tag);
  mkdirSync(temp);
  const child = spawn(
    process.execPath,
    [
      '--test',
      `--test-concurrency=${options.concurrency}`,
      `--test-timeout=${testTimeoutMs}`,
      `--test-reporter=${fileURLToPath(new URL('reporter.ts', import.meta.url))}`,
      '--test-reporter-destination=stdout',
      ...files,
    ],
    {
      cwd: projectFolder,
      // A session of its own: a test may kill its group, and we kill it at the deadline.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Without NODE_TEST_CONTEXT: the runner's own tests run rings, and node refuses a test run inside one.
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, CRONFLEET_TEST_RING: tag, TMPDIR: temp },
    },
  );
  let told = '';
  const tell = (data: Buffer) => {
    told += data.toString();
  };
  child.stdout.on('data', tell);
  child.stderr.on('data', tell);
  const problems: string[] = [];
  const endEarly = async (why: string) => {
    const alive = processesOf(tag).map(({ pid, command }) => `\n    ${pid} ${command}`);
    problems.push(`${why}; it was running:${alive.join('')}`);
    killGroup(child);
    await killAll(tag);
  };
  const onStop = () => void endEarly('was stopped');
  options.stop.addEventListener('abort', onStop, { once: true });
  const deadline = setTimeout(
    () => void endEarly(`did not end within ${options.deadlineMs / 1000} s`),
    options.deadlineMs,
  );
  const exit = await new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(`could not start: ${error.message}`));
    // Not `close`: a process that a test left may hold our pipe open for ever. What it wrote before is read below.
    child.on('exit', (code, signal) => setImmediate(() => resolve(signal ?? `exit ${code}`)));
  });
  clearTimeout(deadline);
  options.stop.removeEventListener('abort', onStop);
  const left = await leftoversOf(tag, options.graceMs);
  if (left.length > 0 && problems.length === 0)
    problems.push(
      `left processes running:${left.map(({ pid, command }) => `\n    ${pid} ${command}`).join('')}`,
    );
  await killAll(tag);
  child.stdout.destroy();
  child.stderr.destroy();
  const rest = readdirSync(temp);
  if (rest.length > 0 && problems.length === 0)
    problems.push(
      `left in their temporary folder: ${rest.slice(0, 10).join(' ')}${rest.length > 10 ? ` and ${rest.length - 10} more` : ''}`,
    );
  rmSync(temp, { recursive: true, force: true });
  return { ...conclude(told, exit, problems), durationMs: performance.now() - started };
}

function conclude(told: string, exit: string, problems: string[]): { tally: Tally; report: string } {
  const at = told.lastIndexOf(tallyMark);
  let tally = emptyTally();
  if (at >= 0) tally = JSON.parse(told.slice(at + tallyMark.length).split('\n', 1)[0] ?? '');
  else if (problems.length === 0) problems.push(`the test runner ended without its results (${exit})`);
  // Whatever else node holds against the run must not be lost between its exit code and our count.
  if (exit !== 'exit 0' && tally.failed === 0 && problems.length === 0)
    problems.push(`the test runner ended with ${exit}`);
  const heard = at < 0 ? told : told.slice(0, at) + told.slice(at).split('\n').slice(1).join('\n');
  const report = [heard.trim(), ...problems.map((problem) => `✖ the ring ${problem}`)]
    .filter(Boolean)
    .join('\n');
  return { tally: addTally(tally, { passed: 0, failed: problems.length, skipped: [] }), report };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It ended just now, which is what we want.
  }
}
