import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import type { Plugin } from 'esbuild';

interface Root {
  resolvePath: (origin: string, target: string) => string;
  loadSync(file: string, options: { keepCase: boolean }): Root;
  toJSON(): object;
}

const reading = '(0, proto_loader_1.loadSync)(`${__dirname}/../proto/rpc.proto`,';

/** etcd3 reads its rpc.proto from beside itself when it is loaded: a bundle carries what stands there, parsed. */
export const etcdProto: Plugin = {
  name: 'etcd-proto',
  setup(build) {
    build.onLoad({ filter: /[\\/]etcd3[\\/]lib[\\/]connection-pool\.js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      if (!source.includes(reading))
        return { errors: [{ text: `${path} no longer reads its rpc.proto as we know it: ${reading}` }] };
      // The parser that etcd3 itself uses.
      const { Root } = createRequire(path)('protobufjs') as { Root: new () => Root };
      const folder = join(dirname(path), '../proto');
      const root = new Root();
      root.resolvePath = (_, target) => join(folder, basename(target));
      const json = JSON.stringify(root.loadSync('rpc.proto', { keepCase: true }).toJSON());
      return { contents: source.replace(reading, () => `(0, proto_loader_1.fromJSON)(${json},`) };
    });
  },
};
