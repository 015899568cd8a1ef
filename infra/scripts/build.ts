import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { build } from 'esbuild';
import { nodeBundle, requireBanner } from './node-bundle.ts';
import { projectFolder, readPackage } from './sources/project-files.ts';

/** Where the program lies in the folder that ships: as deep as in the project, so it finds package.json and the site alike. */
export const programPath = 'worker-agent/cli/cronfleet.mjs';

/**
 * Makes `folder` into all that a server needs beside Node 24: the command line with the daemons that it launches in one file,
 * the built site unless it is left out, and a package.json that `npm install -g FOLDER` takes. Nothing of node_modules is needed there.
 */
export async function buildProgram(
  folder: string,
  { version = readPackage().version, site = true }: { version?: string; site?: boolean } = {},
): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  const program = join(folder, programPath);
  mkdirSync(dirname(program), { recursive: true });
  await build({
    ...nodeBundle,
    entryPoints: ['worker-agent/cli/main.ts'],
    outfile: program,
    // Stack traces name our functions; the file is a program, not a download.
    minify: false,
    legalComments: 'eof',
    banner: { js: `#!/usr/bin/env node\n${requireBanner}` },
  });
  chmodSync(program, 0o755);
  const meta = {
    name: 'cronfleet',
    version,
    license: 'Apache-2.0',
    type: 'module',
    engines: { node: '>=24' },
    bin: { cronfleet: programPath },
  };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(meta, null, 2)}\n`);
  writeFileSync(join(folder, 'LICENSE'), readFileSync(join(projectFolder, 'LICENSE')));
  const built = join(projectFolder, 'dist/site');
  if (site && existsSync(built)) cpSync(built, join(folder, 'dist/site'), { recursive: true });
}

if (import.meta.main) {
  // The site builds itself where it is older than its sources.
  process.chdir(projectFolder);
  await import('./build-site.ts');
  const folder = resolve('dist/cronfleet');
  await buildProgram(folder);
  console.log(
    `dist/cronfleet: run ${join('dist/cronfleet', programPath)} with Node 24, or npm install -g ./dist/cronfleet`,
  );
}
