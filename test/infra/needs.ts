import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { isCi } from '#test/effort.ts';

/** What this ring needs beyond npm's packages: fetched once, at full length without a hand, for people when they ask for it. */

const moto = [
  'moto==5.2.5',
  'flask==3.1.3',
  'flask-cors==6.0.5',
  'PyYAML==6.0.4',
  'py-partiql-parser==0.6.3',
];
const cache = join(projectFolder, '.cache', moto[0] ?? '');
/** Written last: an installation that was cut off is begun anew. */
const done = join(cache, '.done');

/** How moto's server is started: what to run, and with which environment. */
export const motoCommand = {
  command: 'python3',
  args: ['-c', 'from moto.server import main; main()'],
  env: { PYTHONPATH: cache, PYTHONDONTWRITEBYTECODE: '1' },
};

/** The reason why the ring cannot run, or undefined. Fetches what is missing where that was asked for. */
export async function missingForInfra(): Promise<string | undefined> {
  return (await missingPlatform()) ?? (await missingMoto());
}

async function missingPlatform(): Promise<string | undefined> {
  if (hasPlatform()) return undefined;
  const how = 'SST_STAGE=ci npx sst install (323 MB, a minute)';
  if (!mayFetch()) return `SST's platform is not there: ${how}, or CRONFLEET_FETCH=yes`;
  const error = await run(join(projectFolder, 'node_modules/.bin/sst'), ['install'], {
    // Without these it wants downloads from elsewhere than the npm registry.
    ...{ SST_SKIP_DEPENDENCY_CHECK: '1', SST_NO_BUN: '1', SST_TELEMETRY_DISABLED: '1', SST_STAGE: 'ci' },
  });
  return error === null && hasPlatform()
    ? undefined
    : `SST's platform cannot be had by ${how}: ${error ?? 'it is incomplete'}`;
}

function hasPlatform(): boolean {
  const read = (path: string) => {
    const file = join(projectFolder, path);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  const { version } = JSON.parse(read('node_modules/sst/package.json') || '{}');
  const providers = read('.sst/platform/config.d.ts');
  return (
    read('.sst/platform/version').includes(String(version)) &&
    ['@pulumi/aws', '@pulumi/random', '@pulumi/mongodbatlas'].every(
      (name) =>
        providers.includes(name) && existsSync(join(projectFolder, '.sst/platform/node_modules', name)),
    )
  );
}

async function missingMoto(): Promise<string | undefined> {
  if (existsSync(done)) return undefined;
  if (!mayFetch()) return `${moto[0]} is not there: CRONFLEET_FETCH=yes fetches it (140 MB, by pip)`;
  rmSync(cache, { recursive: true, force: true });
  // Into a folder of its own: neither the system's Python nor a virtual environment, which not every Python can make.
  const error = await run('python3', [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--no-input',
    '--target',
    cache,
    ...moto,
  ]);
  if (error !== null) return `${moto[0]} cannot be had: ${error}`;
  writeFileSync(done, '');
  return undefined;
}

const mayFetch = () => isCi || process.env.CRONFLEET_FETCH === 'yes';

/** Runs a program to its end; null, or what went wrong. */
function run(command: string, args: string[], env: Record<string, string> = {}): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: projectFolder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said = `${said}${text}`.slice(-2_000);
      });
    child.on('error', (error) => resolve(`${command} cannot be started (${error.message})`));
    child.on('close', (code) => resolve(code === 0 ? null : `${command} ended with ${code}: ${said.trim()}`));
  });
}
