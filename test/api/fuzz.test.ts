import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { routesOf } from '#functions/app.ts';
import { pathOf, type Route } from '#functions/route.ts';
import { effort } from '#test/effort.ts';
import { type Api, makeApp } from './make-app.ts';

/** What people, programs and attackers put where a name, a time or a number is expected. */
const word = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('__proto__', 'constructor', '\0', '..', '%', '%00', '%ff', 'default', 'known', 'w1'),
  fc.constantFrom('default~known~o1~1', 'default~known~20261122T163500.000Z~1', 'a~b~c~1', 'k', '~', 'a/b/c'),
  fc.constantFrom('2026-11-22T16:35:00Z', '9999-12-31T23:59:59Z', '0000-01-01T00:00Z', '2026-02-30T00:00Z'),
  fc.constantFrom('0', '1', '-1', '1e9', '9007199254740993', '99999999999999999999', '1h', '100000000000w'),
  fc.constantFrom('* * * * *', '0 0 30 2 *', '@every 1s', 'succeeded', 'true', 'Europe/Berlin', 'text/plain'),
);
const value: fc.Arbitrary<unknown> = fc.oneof(word, fc.jsonValue({ maxDepth: 3 }));
const fields = [
  ...['name', 'group', 'command', 'argv', 'schedule', 'timezone', 'env', 'timeout', 'retry', 'retention'],
  ...[
    'target',
    'notify',
    'except',
    'startAt',
    'until',
    'reason',
    'instant',
    'from',
    'to',
    'worker',
    'signal',
  ],
  ...['grace', 'jobs', 'role', 'groups', 'type', 'url', '__proto__', 'constructor', 'more'],
];
const object = fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 5 });
const deep = fc.integer({ min: 10, max: 20_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth));
const nearly = object.map((one) => ({ command: 'x', schedule: '* * * * *', ...one }));
const lines = fc.array(
  fc.oneof(
    word,
    fc.constantFrom('* * * * * x', '@daily x', 'MAILTO=a', 'jobs: [&a [*a]]', '  - {name: a, command: b}'),
  ),
);
const body = fc.oneof(
  { weight: 3, arbitrary: nearly.map((one) => JSON.stringify(one)) },
  { weight: 3, arbitrary: fc.array(nearly).map((jobs) => JSON.stringify({ jobs })) },
  { weight: 2, arbitrary: lines.map((all) => all.join('\n')) },
  { weight: 4, arbitrary: object.map((one) => JSON.stringify(one)) },
  { weight: 2, arbitrary: fc.jsonValue().map((one) => JSON.stringify(one)) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  { weight: 1, arbitrary: deep },
  { weight: 1, arbitrary: object.map((one) => `job=${encodeURIComponent(JSON.stringify(one))}&name=known`) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }) },
);
const type = fc.constantFrom(
  ...[
    'application/json',
    'application/json',
    'APPLICATION/JSON; charset=utf-8',
    'application/yaml',
    'text/crontab',
  ],
  ...['application/x-www-form-urlencoded', 'multipart/form-data', 'multipart/form-data; boundary=x', 'x', ''],
);
const headers = fc.dictionary(
  fc.constantFrom('if-match', 'if-none-match', 'idempotency-key', 'accept', 'last-event-id', 'range'),
  fc.stringMatching(/^[ -~]{0,12}$/).map((text) => text.trim()),
  { maxKeys: 2 },
);
const names = [
  ...[
    'limit',
    'cursor',
    'from',
    'to',
    'step',
    'job',
    'group',
    'expr',
    'timezone',
    'instant',
    'count',
    'wait',
  ],
  ...['state', 'text', 'days', 'name', 'skip', 'dryRun', 'prune', 'q', 'who', '__proto__', 'x'],
];
/** Mostly what the route knows; then anything. */
const queryOf = (route: Route) => {
  const own =
    route.query !== null && 'entries' in route.query ? Object.keys(route.query.entries as object) : [];
  const name = fc.constantFrom(...(own.length > 0 ? own : ['x']), ...own, ...own, ...names);
  return fc.array(fc.tuple(name, word), { maxLength: 4 });
};

describe('whatever is asked', () => {
  let api: Api;
  before(async () => {
    api = await makeApp();
    await api.ask('PUT', '/api/v1/jobs/default/known', { body: { command: 'x', schedule: '* * * * *' } });
    await api.registered('w1');
    await api.holds('default~known~o1~1');
  });
  after(() => api.close());

  const routes = new Map(routesOf(() => {}).map((one) => [`${one.method} ${pathOf(one)}`, one]));
  const asked = fc.constantFrom(...routes).chain(([name, route]) =>
    fc.record({
      route: fc.constant(name),
      words: fc.array(word, { minLength: 2, maxLength: 2 }),
      query: queryOf(route),
      body,
      type,
      headers,
    }),
  );

  it('the answer is one that the document names, and never a fault', async () => {
    await fc.assert(
      fc.asyncProperty(asked, async ({ route: name, words, query, ...sent }) => {
        const route = routes.get(name);
        if (route === undefined) return;
        // A log that is waited for, or followed, ends when its run does: here never.
        const search = new URLSearchParams(query.filter(([field]) => field !== 'wait')).toString();
        const path = pathOf(route).replace(/:\w+/g, () => encodeURIComponent(words.pop() ?? '') || 'x');
        const follows = /event-stream/.test(sent.headers.accept ?? '');
        const how = { ...sent.headers, 'content-type': sent.type };
        const { status } = await api.ask(route.method, `${path}?${search}`, {
          headers: follows ? {} : how,
          ...(route.method === 'GET' ? {} : { body: sent.body }),
        });
        if (status >= 500) throw new Error(`${route.method} ${path}?${search}: ${status}`);
      }),
      { numRuns: effort(1_500, 10_000) },
    );
  });
});
