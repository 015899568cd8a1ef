// The suites of the API, every request to the function as it ships, in a process of its own, on a real etcd and MongoDB: those that
// need no virtual clock. test/lambda has them all, in this process.
import { describe } from 'node:test';
import { setTransport } from '#test/api/transport.ts';
import { deployment } from './deployment.ts';

const cloud = await deployment();
const api = await cloud.start();

setTransport({
  deps: {},
  async stores() {
    await cloud.empty();
    return { kv: cloud.kv, history: cloud.history };
  },
  send: (_, path, { signal, ...init }) => api.request(new Request(new URL(path, 'http://localhost'), init)),
});

const suites = {
  bodies: () => import('#test/api/bodies.test.ts'),
  fuzz: () => import('#test/api/fuzz.test.ts'),
  jobs: () => import('#test/api/jobs.test.ts'),
  roles: () => import('#test/api/roles.test.ts'),
};
for (const [name, load] of Object.entries(suites))
  describe(name, async () => {
    await load();
  });
