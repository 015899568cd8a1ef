import { findAdvice, runChecks } from './testing/checks.ts';

// npm run check [-- --advice]

const checks = await runChecks(new AbortController().signal);
for (const { name, ok, output } of checks) {
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}`);
  if (!ok) console.log(`${output}\n`);
}
const advice = findAdvice();
if (process.argv.includes('--advice')) for (const line of advice) console.log(`     ${line}`);
else if (advice.length > 0)
  console.log(
    `     ${advice.length} places to look at (long files, exports nobody asks for): npm run check -- --advice`,
  );
process.exitCode = checks.every(({ ok }) => ok) ? 0 : 1;
