import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { nodeBundle, requireBanner } from './node-bundle.ts';
import { projectFolder, readPackage } from './sources/project-files.ts';

/** Where the functions lie in the project, and their source maps, which nobody uploads. */
const lambdaFolder = 'dist/lambda';
const mapsFolder = 'dist/lambda-maps';

/**
 * Makes `folder` into what every function of the deployment is: `lambda.mjs` and `watchdog.mjs`, which export `handler`, and the pieces
 * that they load when first needed. Source maps go to `maps`.
 */
export async function buildLambda(folder: string, maps: string): Promise<void> {
  for (const one of [folder, maps]) {
    rmSync(one, { recursive: true, force: true });
    mkdirSync(one, { recursive: true });
  }
  const { metafile } = await build({
    ...nodeBundle,
    entryPoints: ['functions/lambda.ts', 'functions/watchdog.ts'],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'part-[hash]',
    // A driver is a piece of its own, which a cold start without it does not even read.
    splitting: true,
    minify: true,
    legalComments: 'none',
    sourcemap: 'external',
    metafile: true,
    define: { 'process.env.CRONFLEET_VERSION': JSON.stringify(readPackage().version) },
    banner: { js: requireBanner },
  });
  for (const file of Object.keys(metafile.outputs)) {
    const name = file.slice(file.lastIndexOf('/') + 1);
    if (name.endsWith('.map')) renameSync(join(folder, name), join(maps, name));
  }
}

if (import.meta.main) {
  await buildLambda(join(projectFolder, lambdaFolder), join(projectFolder, mapsFolder));
  console.log(
    `${lambdaFolder}: lambda.handler and watchdog.handler for Node 24; source maps in ${mapsFolder}`,
  );
}
