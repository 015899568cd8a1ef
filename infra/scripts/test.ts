import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';

/** The rings, inmost first, and how many files of each run at a time: processes are timed, so they get the machine for themselves. */
const rings: Record<string, number> = {
  unit: 2,
  contract: 2,
  sim: 2,
  api: 2,
  agent: 1,
  bundle: 1,
  browser: 1,
};
const fast = ['unit', 'contract', 'api'];
/** A ring that takes longer hangs. */
const deadlineMs = 20 * 60_000;
const tag = 'CRONFLEET_TEST_RING';

interface Result {
  passed: number;
  failed: number;
}

function spawnNode(
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    let output = '';
    const take = (data: Buffer) => {
      output += data;
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}

/** Processes that a ring has left behind, by the variable that all of them inherit. */
function leftBehind(ring: string): { pid: number; command: string }[] {
  if (!existsSync('/proc/self/environ')) return [];
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      if (!readFileSync(`/proc/${pid}/environ`).includes(`${tag}=${ring}\0`)) return [];
      return [{ pid, command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') }];
    } catch {
      // Gone meanwhile, or not ours to read.
      return [];
    }
  });
}

function count(output: string, what: string): number {
  return Number(new RegExp(`^# ${what} (\\d+)`, 'm').exec(output)?.[1] ?? 0);
}

async function runRing(name: string): Promise<Result> {
  const files = globSync(`test/${name}/**/*.test.ts`).sort();
  if (files.length === 0) {
    console.log(`--   ${name}: NO TESTS YET`);
    return { passed: 0, failed: 0 };
  }
  const ring = randomUUID();
  const began = performance.now();
  const args = ['--test', '--test-reporter=tap', `--test-concurrency=${rings[name] ?? 1}`, ...files];
  const { code, output } = await spawnNode(args, { [tag]: ring });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const left = leftBehind(ring);
  for (const { pid } of left) process.kill(pid, 'SIGKILL');
  const skipped = process.env.CI === 'true' ? count(output, 'skipped') + count(output, 'todo') : 0;
  const failed =
    Math.max(count(output, 'fail') + count(output, 'cancelled'), code === 0 ? 0 : 1) + left.length + skipped;
  const passed = count(output, 'pass');
  console.log(`${failed === 0 ? 'ok  ' : 'FAIL'} ${name}: ${passed} passed, ${failed} failed (${seconds} s)`);
  if (failed > 0) console.log(output);
  else for (const line of output.split('\n')) if (line.includes('LEFT OUT')) console.log(line);
  for (const { pid, command } of left) console.log(`FAIL ${name} left a process behind: ${pid} ${command}`);
  return { passed, failed };
}

const asked = process.argv.slice(2);
const names =
  asked.length === 0
    ? Object.keys(rings)
    : asked.flatMap((name) => (name === 'fast' ? fast : name === 'check' ? [] : [name]));
const unknown = names.filter((name) => !(name in rings));
if (unknown.length > 0) {
  console.error(`no such ring: ${unknown.join(', ')}; expected ${Object.keys(rings).join(', ')} or fast`);
  process.exit(2);
}
let passed = 0;
let failed = 0;
if (asked.length === 0 || asked.includes('check')) {
  const { code, output } = await spawnNode(['infra/scripts/check.ts'], {});
  console.log(output.trimEnd());
  if (code === 0) passed += 1;
  else failed += 1;
}
for (const name of names) {
  const result = await runRing(name);
  passed += result.passed;
  failed += result.failed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
