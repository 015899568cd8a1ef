import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';

export interface Made {
  type: string;
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a resource is made with is of as many shapes as there are kinds; tests assert them.
  inputs: any;
  retainOnDelete: boolean;
  protect: boolean;
  ignoreChanges: string[];
}

export interface Program {
  graph: Made[];
  // biome-ignore lint/suspicious/noExplicitAny: what the deployment says at its end, likewise.
  outputs: any;
}

const platform = join(projectFolder, '.sst/platform');

/** What stands for `sst.config.ts` and the modules of infra/aws: they see SST and the providers as globals. */
const globals: Plugin = {
  name: 'globals',
  setup(build) {
    build.onResolve({ filter: /^\$config$/ }, () => ({ path: join(projectFolder, 'sst.config.ts') }));
    build.onResolve({ filter: /^\$platform\// }, ({ path }) => ({
      path: path.replace('$platform', platform),
    }));
    build.onLoad({ filter: /(sst\.config|infra\/aws\/[\w-]+)\.ts$/ }, ({ path }) => ({
      loader: 'ts',
      resolveDir: join(path, '..'),
      contents: `import * as aws from '@pulumi/aws';\nimport * as random from '@pulumi/random';\nimport * as mongodbatlas from '@pulumi/mongodbatlas';\nimport * as sst from '${platform}/src/components/index.ts';\n${readFileSync(path, 'utf8')}`,
    }));
  },
};

/** Runs the deployment's program under mocks. Throws what it throws. */
export async function runProgram(stage: string, env: Record<string, string> = {}): Promise<Program> {
  // The bundle lies within the platform, whose node_modules has the providers.
  const folder = mkdtempSync(join(platform, 'mocked-'));
  const server = createServer(async (request, response) => {
    let sent = '';
    for await (const chunk of request.setEncoding('utf8')) sent += chunk;
    response.end(JSON.stringify({ result: answers(JSON.parse(sent)) }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    // As SST does: `app` is called with the stage, and what it says is `$app` for the rest.
    const app = appOf(stage);
    await build({
      absWorkingDir: projectFolder,
      entryPoints: [join(projectFolder, 'test/infra/program.js')],
      outfile: join(folder, 'program.mjs'),
      ...{ bundle: true, platform: 'node', format: 'esm', target: 'node24', logLevel: 'error' },
      nodePaths: [join(platform, 'node_modules')],
      external: [
        '@pulumi/*',
        '@pulumiverse/*',
        '@aws-sdk/*',
        'undici',
        'esbuild',
        'archiver',
        'glob',
        'sst',
        'vite',
      ],
      inject: [join(platform, 'src/shim/run.js')],
      define: {
        $app: JSON.stringify(app),
        $dev: 'false',
        $cli: JSON.stringify({
          command: 'deploy',
          paths: { root: projectFolder, work: join(folder, 'work'), platform, home: folder },
          state: { version: {} },
        }),
      },
      plugins: [globals],
      banner: {
        js: "import { createRequire as createRequireOfBundle } from 'node:module';\nconst require = createRequireOfBundle(import.meta.url);",
      },
    });
    const child = spawn(process.execPath, [join(folder, 'program.mjs')], {
      cwd: projectFolder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        // npm would leave one in the temporary folder.
        NODE_DISABLE_COMPILE_CACHE: '1',
        ...{
          CONFIG_APP: JSON.stringify(app),
          SST_SERVER: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        },
        ...{
          SST_SECRET_Kv: 'etcd://10.0.1.10:2379',
          SST_SECRET_History: 'mongodb+srv://u:p@x.mongodb.net/cron',
        },
        ...env,
      },
    });
    let [out, said] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await once(child, 'close');
    const last = out.trim().split('\n').at(-1) ?? '';
    if (!last.startsWith('{')) throw new Error(`the program ended without a graph: ${said}${out}`);
    const read: Program | { error: string } = JSON.parse(last);
    if ('error' in read) throw new Error(read.error);
    return read;
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What SST's own process answers its components. */
function answers({
  method,
  params,
}: {
  method: string;
  params: { handler?: string; bundle?: string }[];
}): unknown {
  if (method === 'Provider.Aws.Bootstrap')
    return {
      asset: 'sst-asset',
      state: 'sst-state',
      assetEcrRegistryId: '1',
      assetEcrUrl: 'u',
      appsyncHttp: '',
      appsyncRealtime: '',
    };
  if (method === 'Runtime.Build')
    return { handler: params[0]?.handler, out: params[0]?.bundle, errors: [], sourcemaps: [] };
  return null;
}

interface App {
  name: string;
  stage: string;
  removal: string;
  protect: boolean;
}

/** What `app()` of sst.config.ts says for this stage: its text is evaluated with `$config` handed in. */
function appOf(stage: string): App {
  const text = readFileSync(join(projectFolder, 'sst.config.ts'), 'utf8').replace('export default', 'return');
  const config = new Function('$config', text.replace(/^\/\/\/.*$/m, ''))((given: unknown) => given) as {
    app(input: { stage: string }): Omit<App, 'stage'>;
  };
  return { ...config.app({ stage }), stage };
}
