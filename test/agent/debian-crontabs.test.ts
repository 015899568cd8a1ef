import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { formatCrontab } from '#core/crontab/format.ts';
import { type CrontabOptions, parseCrontab } from '#core/crontab/parse.ts';
import { readVariable } from '#core/crontab/variable.ts';
import { Job } from '#core/model/job.ts';

const packages = [
  'cron',
  'cron-daemon-common',
  'anacron',
  'e2fsprogs',
  'sysstat',
  'mdadm',
  'certbot',
  'php-common',
  'popularity-contest',
];
const cache = fileURLToPath(new URL('../../.cache/debian-crontabs/', import.meta.url));
const options: CrontabOptions = { kind: 'system', zone: 'Europe/Berlin', homeOf: (user) => `/home/${user}` };

/** Fetches the packages with apt's own lists or, where these are stale, with lists of its own; needs no root. Gives why not, or null. */
function fetchPackages(): string | null {
  mkdirSync(join(cache, 'apt/lists/partial'), { recursive: true });
  const run = (program: string, args: string[]) =>
    execFileSync(program, args, { cwd: cache, stdio: 'pipe', encoding: 'utf8', timeout: 120_000 });
  const own = [
    `Dir::State::lists=${cache}apt/lists`,
    `Dir::Cache=${cache}apt`,
    'Debug::NoLocking=true',
    'APT::Sandbox::User=',
  ].flatMap((one) => ['-o', one]);
  const missing = () => packages.filter((name) => !existsSync(join(cache, 'root', name)));
  const take = (more: string[]) => {
    run('apt-get', [...more, '-qq', 'download', ...missing()]);
    for (const file of readdirSync(cache).filter((name) => name.endsWith('.deb')))
      run('dpkg-deb', ['-x', file, join('root', file.split('_')[0] ?? '')]);
  };
  if (missing().length === 0) return null;
  try {
    mkdirSync(join(cache, 'root'), { recursive: true });
    try {
      take([]);
    } catch {
      // Stale or no lists: a private copy of them, once.
      run('apt-get', [...own, '-qq', 'update']);
      take(own);
    }
    return missing().length === 0 ? null : `${missing()} could not be had`;
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  }
}

it("takes over every line of the tables that Debian's packages install, or says why not; and gives them back", (t) => {
  const why = fetchPackages();
  if (why !== null) {
    assert.notEqual(process.env.CI, 'true', `Debian's packages could not be fetched: ${why}`);
    t.diagnostic(`LEFT OUT: Debian's crontabs could not be fetched (${why})`);
    return;
  }
  const tables = globSync(join(cache, 'root/*/etc/{crontab,cron.d/*}')).filter(
    (path) => !basename(path).startsWith('.'),
  );
  assert.ok(tables.length >= 7, tables.join());
  let lines = 0;
  for (const path of tables) {
    const text = readFileSync(path, 'utf8');
    const { jobs, refused } = parseCrontab(text, options);
    const told = new Set([...jobs, ...refused].map(({ line }) => line));
    for (const [at, line] of text.split('\n').entries())
      if (line.trim() !== '' && !/^\s*#/.test(line) && readVariable(line) === null) {
        assert.ok(told.has(at + 1), `${path}:${at + 1} is lost`);
        lines += 1;
      }
    assert.deepEqual(
      refused.filter(({ text: of }) => !of.startsWith('@reboot')),
      [],
      path,
    );
    const read = jobs.map(({ job }) => v.parse(Job, job));
    const again = parseCrontab(formatCrontab(read, options), options).jobs.map(({ job }) =>
      v.parse(Job, job),
    );
    assert.deepEqual(again, read, path);
  }
  t.diagnostic(`${tables.length} tables, ${lines} lines`);
});
