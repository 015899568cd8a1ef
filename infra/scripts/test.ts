import { runChecks } from './testing/checks.ts';
import { fastRings, filesOf, type Ring, rings } from './testing/rings.ts';
import { runRing } from './testing/run-ring.ts';
import { addTally, emptyTally, type Tally } from './testing/tally.ts';

// npm test [-- RING... | fast | FILE...]: the checks and every ring, or what was asked for. CI=true: at full length, and
// what is skipped, or cannot run here, or is not there, has failed.

const isCi = process.env.CI === 'true';
/** The last resort: what hangs is named by its own test long before, and on a busy machine the longest ring took 17 minutes. */
const deadlineMs = 45 * 60_000;
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort(signal));

const asked = process.argv.slice(2);
const wantedFiles = asked.filter((name) => name.endsWith('.test.ts'));
const wanted = asked.flatMap((name) =>
  name === 'fast' ? fastRings : name.endsWith('.test.ts') ? [] : [name],
);
const unknown = [
  ...wanted.filter((name) => name !== 'check' && !rings.some((ring) => ring.name === name)),
  ...wantedFiles.filter((file) => !rings.some((ring) => filesOf(ring).includes(file))),
];
if (unknown.length > 0 || wanted.includes('--help')) {
  console.error(`npm test [-- RING... | fast | FILE.test.ts...]   not known: ${unknown.join(' ')}\n`);
  for (const { name, about } of rings) console.error(`  ${name.padEnd(10)}${about}`);
  console.error(`  ${'check'.padEnd(10)}types, lint and format, the walls between rooms, the lock file`);
  process.exit(2);
}

let sum: Tally = emptyTally();
if (asked.length === 0 || wanted.includes('check')) sum = addTally(sum, await check());
for (const ring of rings) {
  if (stop.signal.aborted) break;
  const all = filesOf(ring);
  const named = all.filter((file) => wantedFiles.includes(file));
  if (asked.length === 0 || wanted.includes(ring.name)) sum = addTally(sum, await runOne(ring, all));
  else if (named.length > 0) sum = addTally(sum, await runOne(ring, named));
}
if (stop.signal.aborted) {
  console.log(`stopped by ${stop.signal.reason}`);
  sum.failed += 1;
}
if (sum.skipped.length > 0)
  console.log(`\n${sum.skipped.length} skipped${isCi ? ', which counts as failed here' : ''}:`);
for (const name of sum.skipped) console.log(`  ${name}`);
const failed = sum.failed + (isCi ? sum.skipped.length : 0);
console.log(`\n${sum.passed} passed, ${failed} failed`);
process.exit(failed === 0 && sum.passed > 0 ? 0 : 1);

async function check(): Promise<Tally> {
  const started = performance.now();
  const checks = await runChecks(stop.signal);
  const bad = checks.filter(({ ok }) => !ok);
  const tally = { passed: checks.length - bad.length, failed: bad.length, skipped: [] };
  say('check', tally, performance.now() - started);
  for (const { name, output } of bad) console.log(`✖ ${name}\n${output}\n`);
  return tally;
}

async function runOne(ring: Ring, files: readonly string[]): Promise<Tally> {
  const missing = files.length === 0 ? `NO TESTS YET in test/${ring.name}/` : await ring.missing?.();
  if (missing !== undefined) {
    console.log(`${ring.name.padEnd(10)} DID NOT RUN: ${missing}`);
    return { ...emptyTally(), failed: isCi ? 1 : 0 };
  }
  const { tally, report, durationMs } = await runRing(files, {
    concurrency: ring.concurrency,
    deadlineMs,
    graceMs: 3_000,
    stop: stop.signal,
  });
  say(ring.name, tally, durationMs);
  if (report !== '') console.log(`${report}\n`);
  return tally;
}

function say(name: string, { passed, failed, skipped }: Tally, durationMs: number): void {
  const parts = [
    `${passed} passed`,
    failed > 0 ? `${failed} FAILED` : '',
    skipped.length > 0 ? `${skipped.length} SKIPPED` : '',
  ];
  console.log(
    `${name.padEnd(10)} ${parts.filter(Boolean).join(', ').padEnd(32)} ${(durationMs / 1000).toFixed(1).padStart(6)} s`,
  );
}
