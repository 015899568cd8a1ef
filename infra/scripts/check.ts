import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** One of the checks: its name, and the command that says yes by ending with 0. */
const checks: [string, string[]][] = [
  ['types', ['tsc', '-p', '.']],
  ['types of the site', ['tsc', '-p', 'web']],
  ['lint and format', ['biome', 'check', '.']],
  ['room walls', ['node', '--test', 'test/rooms.test.ts']],
];

function run([name, [command = '', ...args]]: [string, string[]]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(`node_modules/.bin/${command}`, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    child.stderr.on('data', (data) => {
      output += data;
    });
    child.on('close', (code) => {
      console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${name}`);
      if (code !== 0) console.log(output);
      resolve(code === 0);
    });
  });
}

/** The lock file must work with whatever registry somebody uses. */
function lockNamesNoHost(): boolean {
  const named = /"resolved":/.test(readFileSync('package-lock.json', 'utf8'));
  console.log(`${named ? 'FAIL' : 'ok  '} lock file names no registry`);
  return !named;
}

const results = [lockNamesNoHost(), ...(await Promise.all(checks.map(run)))];
process.exitCode = results.every(Boolean) ? 0 : 1;
