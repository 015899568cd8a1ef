import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { type CommandStartedEvent, type Document, MongoClient } from 'mongodb';
import type { History, RunQuery } from '#core/ports/history.ts';
import { historyIn } from '#core/stores/history/mongo/mongo-history.ts';
import { alert, chunk, minuteMs, run, t0 } from '#test/contract/history-suite.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { mongoForTests } from './server.ts';

const server = await mongoForTests();
const { url, name } = server.database();
const client = new MongoClient(url, { monitorCommands: true });
const db = client.db(name);
const history = historyIn(db, { clock: new VirtualClock(), place: 'test', close: () => client.close() });
after(() => history.close());

const asked: Document[] = [];
client.on('commandStarted', ({ command }: CommandStartedEvent) => {
  if ('find' in command || 'aggregate' in command || 'update' in command) asked.push(command);
});

/** How the server would find what `work` asks of it: a plan for each query of it, those of an update too. */
async function plansOf(work: () => Promise<unknown>): Promise<{ query: Document; stages: Document[] }[]> {
  asked.length = 0;
  await work();
  const queries = asked.flatMap(explainable);
  assert.ok(queries.length > 0, 'nothing was asked');
  return await Promise.all(
    queries.map(async (query) => ({
      query,
      stages: stagesOf(await db.command({ explain: query, verbosity: 'queryPlanner' })),
    })),
  );
}

/** Without what only a command under way may carry; an update's filters as the finds that they are. */
function explainable(command: Document): Document[] {
  const { find, filter, sort, limit, projection, aggregate, pipeline, update, updates } = command;
  const given = { ...(sort && { sort }), ...(projection && { projection }) };
  if (find !== undefined) return [{ find, filter, ...given, ...(limit && { limit }) }];
  if (aggregate !== undefined) return [{ aggregate, pipeline, cursor: {} }];
  return updates.map(({ q }: Document) => ({ find: update, filter: q }));
}

/** Every stage of the plan that won, wherever this kind of server puts it in its answer. */
function stagesOf(value: unknown): Document[] {
  if (typeof value !== 'object' || value === null) return [];
  const { stage } = value as Document;
  const inner = Object.entries(value).flatMap(([key, each]) =>
    key === 'rejectedPlans' || key === 'command' ? [] : stagesOf(each),
  );
  return typeof stage === 'string' ? [value, ...inner] : inner;
}

const filters: Partial<RunQuery>[] = [
  {},
  { group: 'g' },
  { group: 'g', name: 'job' },
  { worker: 'w' },
  { state: 'failed' },
  { state: 'succeeded' },
  { trigger: 'retry' },
  { trigger: 'schedule' },
  { from: t0, to: t0 + minuteMs },
  { groups: ['g', 'h'] },
  { cursor: Buffer.from(JSON.stringify([String(t0).padStart(16, '0')])).toString('base64url') },
];
const lists = filters.flatMap((one) => filters.map((other) => ({ ...one, ...other, limit: 10 })));
/** Not the load figures: of those all are wanted. */
const reads: [name: string, ask: (history: History) => Promise<unknown>][] = [
  ['one run', (history) => history.run(run(1).id)],
  ['what covers an instant', (history) => history.covering('g', 'job', t0)],
  ['the last run of each job', (history) => history.latest(['g/job', 'h/job'])],
  ['a log, from its middle', (history) => history.log(run(1).id, 5, 100)],
  ['a search', (history) => history.search({ ...job, text: 'x', since: t0, maxBytes: 100, limit: 9 })],
  ['sums', (history) => history.stats({ from: t0, to: t0 + 9 * minuteMs, stepMs: minuteMs })],
  ['sums of some groups', (history) => history.stats({ ...hour, groups: ['g', 'h'] })],
  ...[{}, { who: 'a' }, { job: 'g/job' }, { groups: ['g'] }, { from: t0 }, { who: 'a', groups: ['g'] }].map(
    (query): [string, (history: History) => Promise<unknown>] => [
      `who did what ${JSON.stringify(query)}`,
      (history) => history.audit({ limit: 9, ...query }),
    ],
  ),
  ...[{}, { open: true }, { groups: ['g'] }].map(
    (query): [string, (history: History) => Promise<unknown>] => [
      `alerts ${JSON.stringify(query)}`,
      (history) => history.alerts({ limit: 9, ...query }),
    ],
  ),
  ['alerts that stand', (history) => history.openAlerts({ after: 'f', limit: 9 })],
  ['what was told', (history) => history.toldSince(t0)],
  ['alerts that are due', (history) => history.claimAlerts({ by: 'x', now: t0, until: t0, limit: 9 })],
];
const job = { group: 'g', name: 'job' };
const hour = { from: t0, to: t0 + 60 * minuteMs, stepMs: minuteMs };

async function fill(): Promise<void> {
  const runs = Array.from({ length: 200 }, (_, at) =>
    run(at, { group: at % 2 ? 'g' : 'h', state: at % 9 ? 'succeeded' : 'failed', worker: `w${at % 3}` }),
  );
  await history.saveRuns(runs);
  await history.addAlerts(runs.map(({ id }, at) => alert(id, at, { open: at % 2 === 0 })));
  await history.saveLogs(runs.flatMap(({ id }) => [chunk(id, 0, 0, 'a'), chunk(id, 1, 1, 'b')]));
}

const matchOf = ({ filter, pipeline }: Document): Document => filter ?? pipeline[0].$match;

/** The fields that have to be one value each. */
function equalities(query: Document): string[] {
  const match = matchOf(query);
  return Object.keys(match).filter((field) => {
    const value = match[field];
    return typeof value !== 'object' || value === null || value instanceof Date;
  });
}

/** Whether some index holds, one behind the other, what the query asks for in the order that it wants. */
async function isServed(query: Document): Promise<boolean> {
  const { find, aggregate, sort, filter } = query;
  const ordered: string[] = sort === undefined ? (aggregate ? ['order'] : ['_id']) : [...sort.keys()];
  assert.equal(ordered.length, 1, JSON.stringify(query));
  const equal = equalities(query);
  const indexes = await db.collection(find ?? aggregate).indexes();
  return indexes.some(({ key }) => {
    const fields = Object.keys(key);
    const at = fields.indexOf(ordered[0] ?? '');
    const isId = sort === undefined && filter?._id !== undefined && at === 0;
    return isId || (at >= 0 && fields.slice(0, at).every((field) => equal.includes(field)));
  });
}

describe('MongoDB finds', () => {
  it('every run, log and entry along an index, and looks through no collection', async () => {
    await fill();
    const questions = [
      ...lists.map((query) => [`list ${JSON.stringify(query)}`, () => history.runs(query)] as const),
      ...reads.map(([name, ask]) => [name, () => ask(history)] as const),
      ['saving what is there', () => history.saveRuns([run(1, { group: 'g', state: 'lost' })])] as const,
    ];
    let explained = 0;
    for (const [name, ask] of questions) {
      for (const { query, stages } of await plansOf(ask)) {
        const kinds = stages.map(({ stage }) => stage);
        const told = `${name}: ${JSON.stringify(query)} goes by ${kinds}`;
        assert.ok(await isServed(query), `no index for ${told}`);
        // Of several indexes that would do the stand-in takes none.
        const beside = Object.keys(matchOf(query)).filter((field) => field !== 'order');
        const several = beside.length > 1 || beside.some((field) => !equalities(query).includes(field));
        if (!server.isTrue && several && kinds.includes('COLLSCAN')) continue;
        explained += 1;
        assert.ok(
          kinds.some((kind) => /IXSCAN|IDHACK|EXPRESS/.test(kind)) && !kinds.includes('COLLSCAN'),
          told,
        );
      }
    }
    assert.ok(explained > 50, `only ${explained} plans were told`);
  });

  it('nothing by a collection scan unseen: a query without an index is caught', async () => {
    const unserved = () => db.collection('runs').find({ reason: 'x' }).sort({ reason: 1 }).toArray();
    const [plan] = await plansOf(unserved);
    assert.ok(plan?.stages.some(({ stage }) => stage === 'COLLSCAN'));
    assert.equal(await isServed(plan?.query ?? {}), false);
  });
});

if (server.isTrue)
  describe('A true mongod', () => {
    it('sorts nothing: each list is a walk in order, that ends with the page', async () => {
      await fill();
      for (const query of lists)
        for (const { query: find, stages } of await plansOf(() => history.runs(query))) {
          const kinds = stages.map(({ stage }) => stage);
          assert.ok(!kinds.includes('SORT'), `${JSON.stringify(find)} goes by ${kinds}`);
        }
      asked.length = 0;
      await history.runs({ limit: 10 });
      const stats = await db.command({
        explain: explainable(asked[0] ?? {})[0],
        verbosity: 'executionStats',
      });
      assert.ok(stats.executionStats.totalKeysExamined <= 12);
    });

    it('forgets what has expired, and nothing that has no end', async () => {
      await client.db('admin').command({ setParameter: 1, ttlMonitorSleepSecs: 1 });
      await history.saveRuns([run(1_000, { state: 'succeeded', expireAt: 1 }), run(1_001)]);
      const gone = db.collection('runs').watch([{ $match: { operationType: 'delete' } }]);
      assert.equal((await gone.next()).operationType, 'delete');
      await gone.close();
      assert.equal(await history.run(run(1_000).id), null);
      assert.ok(await history.run(run(1_001).id));
    });
  });
else
  console.log(
    'NOT RUN HERE: what only a true mongod can show (plans without a sort, expiry within seconds): there is a stand-in',
  );
