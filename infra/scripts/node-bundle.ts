import type { BuildOptions } from 'esbuild';
import { etcdProto } from './etcd-proto.ts';
import { projectFolder } from './sources/project-files.ts';

/** What everything has in common that we bundle for Node: it runs alone, with nothing of node_modules beside it. */
export const nodeBundle = {
  absWorkingDir: projectFolder,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // Looked for where they are installed: native, or of one cloud, and only for who asks for them in the store's URL.
  external: [
    ...['@mongodb-js/zstd', 'snappy', 'kerberos', 'mongodb-client-encryption', 'gcp-metadata', 'socks'],
    '@aws-sdk/credential-providers',
  ],
  logLevel: 'warning',
  plugins: [etcdProto],
} satisfies BuildOptions;

/** CommonJS among what is bundled (pino, prom-client, gRPC) calls require for built-ins. */
export const requireBanner =
  "import { createRequire as createRequireOfBundle } from 'node:module';\nconst require = createRequireOfBundle(import.meta.url);";
