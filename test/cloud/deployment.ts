import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { prefixRange } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import { startCluster } from '#infra/etcd/cluster.ts';
import { buildLambda } from '#infra/scripts/build-lambda.ts';
import { etcds } from '#test/etcd/servers.ts';
import { type RunningFunction, startFunction } from '#test/lambda/function.ts';
import { mongoForTests } from '#test/mongo/server.ts';
import { startParameterStore } from './parameter-store.ts';

export const settingsPath = '/cronfleet/test';
export const firstToken = `cf_firstfirst01_${'s'.repeat(43)}`;

/**
 * What stands in the cloud, on this machine: the functions as they are built, a real etcd, a real MongoDB and the settings that name
 * them. For one test file, ended after it.
 */
export async function deployment() {
  const folder = mkdtempSync(join(tmpdir(), 'cloud-'));
  const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
  // Latest first, and all of it before the MongoDB server, whose end waits for who is connected.
  after(async () => {
    for (const end of ends.reverse()) await end();
  });
  const [programs] = await etcds();
  if (programs === undefined) throw new Error('no etcd');
  const cluster = await startCluster({ programs });
  ends.push(() => cluster.stop());
  const mongo = await mongoForTests();
  const database = mongo.database();
  const parameters = await startParameterStore();
  ends.push(() => parameters.stop());
  const built = join(folder, 'functions');
  await buildLambda(built, join(folder, 'maps'));

  const clock = systemClock();
  const kv = await openKv(`etcd://${cluster.endpoints}`, clock, systemIds());
  const history = await openHistory(database.url, clock);
  ends.push(
    () => kv.close(),
    () => history.close(),
  );
  const set = (name: string, value: string) => parameters.values.set(`${settingsPath}/${name}`, value);
  set('kv', `etcd://${cluster.endpoints}`);
  set('history', database.url);
  // What has no meaning is there, too, so that the names that have one lie on a second page.
  for (let i = 0; i < 12; i += 1) set(`a-${i}`, 'x');

  return {
    ...{ cluster, mongo, database, parameters, kv, history, clock, folder, set },
    layout: layoutOf(),
    /** One more copy of a function, as Lambda makes them. */
    async start(handler: 'lambda.handler' | 'watchdog.handler' = 'lambda.handler'): Promise<RunningFunction> {
      const one = await startFunction({
        folder: built,
        handler,
        env: {
          ...{
            CRONFLEET_SETTINGS: settingsPath,
            AWS_ENDPOINT_URL_SSM: parameters.url,
            AWS_MAX_ATTEMPTS: '1',
          },
          ...{ TMPDIR: folder, CRONFLEET_STAGE: 'test' },
        },
      });
      ends.push(() => one.stop());
      return one;
    },
    /** Empties both stores. */
    async empty(): Promise<void> {
      await kv.txn({ compare: [], then: [{ type: 'delete', ...prefixRange('/cron/') }] });
      const db = mongo.client.db(database.name);
      for (const name of ['runs', 'logs', 'audit', 'workers']) await db.collection(name).deleteMany({});
    },
  };
}
export type Deployment = Awaited<ReturnType<typeof deployment>>;
