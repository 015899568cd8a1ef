import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { isCi } from '#test/effort.ts';

const release = 'aws-lambda-ric@4.0.2';
const folder = join(projectFolder, '.cache', release);
const program = join(folder, 'node_modules/aws-lambda-ric/index.mjs');
/** Written last: a build that is under way, or was cut off, is none. */
const done = join(folder, '.done');
/** What its build wants; two minutes. */
const tools = ['autoconf', 'automake', 'libtoolize', 'cmake', 'make', 'g++', 'python3'];

/**
 * AWS's own client of the Runtime API, which Lambda's images have, where it can be built: at full length, or with CRONFLEET_FETCH=yes; once
 * built it is kept. Null with the reason where it is not there; then bootstrap.mjs alone stands in for it.
 */
export async function awsClient(): Promise<{ program: string } | { missing: string }> {
  if (existsSync(done)) return { program };
  const absent = tools.filter((name) => !inPath(name));
  if (absent.length > 0) return { missing: `${release} cannot be built without ${absent.join(', ')}` };
  if (!isCi && process.env.CRONFLEET_FETCH !== 'yes')
    return { missing: `${release} is not built: CRONFLEET_FETCH=yes builds it (two minutes)` };
  mkdirSync(folder, { recursive: true });
  const settings = { private: true, allowScripts: { 'aws-lambda-ric': true } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(settings));
  const error = await build();
  if (error === null && existsSync(program)) {
    writeFileSync(done, '');
    return { program };
  }
  return { missing: `${release} could not be built: ${error}` };
}

const inPath = (name: string) =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)));

function build(): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', release], {
      cwd: folder,
      // It wants a Node from 22 on; ours is.
      env: {
        ...process.env,
        PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
        NODE_DISABLE_COMPILE_CACHE: '1',
        // Node's headers, which node-gyp would fetch from nodejs.org, lie beside the project's Node.
        npm_config_nodedir: join(
          projectFolder,
          `node_modules/node/node_modules/node-${process.platform}-${process.arch}`,
        ),
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-2_000);
    });
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code) => resolve(code === 0 ? null : `npm ended with ${code}: ${said.trim()}`));
  });
}
