import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { routesOf } from '#functions/app.ts';
import { pathOf } from '#functions/route.ts';
import { makeApp } from './make-app.ts';

const job = { command: 'echo hi', schedule: '*/5 * * * *' };

describe('jobs over HTTP', () => {
  let api: Awaited<ReturnType<typeof makeApp>>;
  before(async () => {
    api = await makeApp();
  });
  after(() => api.close());
  const at = (name: string) => `/api/v1/jobs/default/${name}`;

  it('are created, shown with their next instants, replaced and deleted', async () => {
    const made = await api.ask('PUT', at('a'), { body: job });
    assert.equal(made.status, 201);
    assert.equal(made.json.next.length, 3);
    assert.equal(made.json.job.overlap, 'skip');
    const again = await api.ask('PUT', at('a'), { body: { ...job, command: 'echo ho' } });
    assert.equal(again.status, 200);
    assert.notEqual(again.json.revision, made.json.revision);
    assert.equal((await api.ask('DELETE', at('a'))).json.job.command, 'echo ho');
    const gone = await api.ask('GET', at('a'));
    assert.deepEqual([gone.status, gone.json.code], [404, 'job_not_found']);
  });

  it('are not overwritten by who has seen an older one', async () => {
    const made = await api.ask('PUT', at('b'), { body: job, headers: { 'if-none-match': '*' } });
    assert.equal(
      (await api.ask('PUT', at('b'), { body: job, headers: { 'if-none-match': '*' } })).status,
      412,
    );
    const etag = made.headers.get('etag') ?? '';
    assert.equal((await api.ask('PUT', at('b'), { body: job, headers: { 'if-match': etag } })).status, 200);
    const late = await api.ask('PUT', at('b'), { body: job, headers: { 'if-match': etag } });
    assert.deepEqual([late.status, late.json.code], [412, 'revision_conflict']);
  });

  it('take every change that asks for no revision, however many come at once, and one of those that name the same', async () => {
    await api.ask('PUT', at('busy'), { body: job });
    const all = Array.from({ length: 40 }, (_, i) => i);
    const saves = all.map((i) => api.ask('PUT', at('busy'), { body: { ...job, command: `echo ${i}` } }));
    const pauses = all.slice(0, 10).map(() => api.ask('POST', `${at('busy')}/pause`));
    const applies = all.slice(0, 10).map((i) =>
      api.ask('POST', '/api/v1/apply', {
        body: { jobs: [{ name: 'busy', ...job, command: `true ${i}` }] },
      }),
    );
    const statuses = (await Promise.all([...saves, ...pauses, ...applies])).map(({ status }) => status);
    assert.deepEqual(new Set(statuses), new Set([200]));
    const tag = (await api.ask('GET', at('busy'))).headers.get('etag') ?? '';
    const guarded = await Promise.all(
      all.map((i) =>
        api.ask('PUT', at('busy'), { body: { ...job, command: `date ${i}` }, headers: { 'if-match': tag } }),
      ),
    );
    assert.equal(guarded.filter(({ status }) => status === 200).length, 1);
    assert.equal(guarded.filter(({ status }) => status === 412).length, 39);
    await api.ask('DELETE', at('busy'));
  });

  it('keep their revision through pause, resume and skip', async () => {
    const made = await api.ask('PUT', at('c'), { body: job });
    await api.ask('POST', `${at('c')}/pause`, { body: { reason: 'x' } });
    const paused = await api.ask('GET', at('c'));
    assert.deepEqual(
      [paused.json.paused.reason, paused.json.next, paused.json.revision],
      ['x', [], made.json.revision],
    );
    await api.ask('POST', `${at('c')}/resume`);
    const [next] = (await api.ask('GET', at('c'))).json.next;
    await api.ask('POST', `${at('c')}/skip`, { body: { instant: next } });
    const skipped = await api.ask('GET', at('c'));
    assert.equal(skipped.json.next.includes(next), false);
    assert.equal(skipped.json.revision, made.json.revision);
  });

  it('name every mistake at once, with its value and what was expected', async () => {
    const bad = await api.ask('PUT', at('d'), {
      body: { schedule: '* * *', timeout: 'soon', colour: 'red' },
    });
    assert.equal(bad.status, 422);
    const paths = bad.json.errors.map((one: { path: string }) => one.path);
    for (const path of ['timeout', 'colour']) assert.ok(paths.includes(path), `${path} of ${paths}`);
    const never = await api.ask('PUT', at('d'), { body: { command: 'x', schedule: '0 0 30 2 *' } });
    assert.deepEqual([never.status, never.json.code], [422, 'schedule_invalid']);
    assert.equal((await api.ask('GET', at('d'))).status, 404);
  });

  it('show environment values to editors only', async () => {
    await api.ask('PUT', at('secret'), { body: { ...job, env: { KEY: 'hush' } } });
    assert.equal((await api.ask('GET', at('secret'))).json.job.env.KEY, 'hush');
    const seen = await api.ask('GET', at('secret'), { as: 'operator' });
    assert.equal(seen.json.job.env.KEY, '***');
    assert.equal(seen.text.includes('hush'), false);
  });

  it('are run once for one idempotency key', async () => {
    await api.ask('PUT', at('e'), { body: job });
    const headers = { 'idempotency-key': 'one' };
    const first = await api.ask('POST', `${at('e')}/run`, { headers });
    const second = await api.ask('POST', `${at('e')}/run`, { headers });
    assert.equal(first.status, 202);
    assert.deepEqual(second.json, first.json);
    const { entries } = await api.kv.range({
      key: '/cron/orders/default/e/',
      end: '/cron/orders/default/e0',
    });
    assert.equal(entries.length, 1);
  });

  it('are applied as a whole or not at all', async () => {
    const jobs = [
      { group: 'g', name: 'x', ...job },
      { group: 'g', name: 'y', command: 'y', schedule: 'nonsense' },
    ];
    const refused = await api.ask('POST', '/api/v1/apply', { body: { jobs } });
    assert.equal(refused.status, 422);
    assert.equal(refused.json.errors[0].path.startsWith('jobs.1.'), true);
    assert.equal((await api.ask('GET', '/api/v1/jobs/g/x')).status, 404);
    const good = { jobs: [jobs[0], { group: 'g', name: 'z', ...job }] };
    const actions = async (query = '') =>
      (await api.ask('POST', `/api/v1/apply${query}`, { body: good })).json.changes.map(
        (one: { action: string }) => one.action,
      );
    assert.deepEqual(await actions('?dryRun=true'), ['create', 'create']);
    assert.deepEqual(await actions(), ['create', 'create']);
    assert.deepEqual(await actions(), ['unchanged', 'unchanged']);
    const pruned = await api.ask('POST', '/api/v1/apply?prune=true&group=g', {
      body: { jobs: [good.jobs[0]] },
    });
    assert.deepEqual(
      pruned.json.changes.map((one: { action: string }) => one.action),
      ['unchanged', 'delete'],
    );
  });

  it('page without gap or double', async () => {
    for (let i = 0; i < 7; i += 1) await api.ask('PUT', `/api/v1/jobs/pages/j${i}`, { body: job });
    const names: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await api.ask('GET', `/api/v1/jobs?group=pages&limit=3${cursor && `&cursor=${cursor}`}`);
      names.push(...page.json.items.map((one: { job: { name: string } }) => one.job.name));
      cursor = page.json.next;
    }
    assert.deepEqual(names, ['j0', 'j1', 'j2', 'j3', 'j4', 'j5', 'j6']);
  });

  it('refuse what HTTP refuses', async () => {
    const wrong = await api.ask('PATCH', at('a'));
    assert.deepEqual([wrong.status, wrong.json.code], [405, 'method_not_allowed']);
    assert.ok(wrong.headers.get('allow')?.includes('PUT'));
    assert.equal((await api.ask('PUT', at('a'), { body: '{' })).status, 400);
    assert.equal(
      (await api.ask('PUT', at('a'), { body: 'x', headers: { 'content-type': 'text/html' } })).status,
      415,
    );
    assert.equal((await api.ask('GET', '/api/v1/runs?nonsense=1')).status, 400);
    assert.equal((await api.ask('PUT', at('a'), { body: `"${'x'.repeat(1_100_000)}"` })).status, 413);
    assert.equal((await api.ask('GET', '/api/v1/nowhere')).status, 404);
  });
});

describe('the OpenAPI document', () => {
  it('has every route, with the schemas that judge it, and refers to nothing that is not there', async () => {
    const api = await makeApp();
    const { json, text } = await api.ask('GET', '/openapi.json', { as: null });
    assert.equal(json.openapi, '3.1.0');
    const ids = new Set<string>();
    for (const route of routesOf(() => {})) {
      const path = pathOf(route).replace(/:(\w+)/g, '{$1}');
      const operation = json.paths[path]?.[route.method.toLowerCase()];
      assert.ok(operation, path);
      assert.equal(ids.has(operation.operationId), false, operation.operationId);
      ids.add(operation.operationId);
    }
    for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g))
      assert.ok(json.components.schemas[name ?? ''], name);
    assert.equal(json.components.schemas.JobInput.additionalProperties, false);
    assert.deepEqual(json.components.schemas.JobInput.required, ['name']);
    assert.ok(json.components.schemas.Job.required.includes('overlap'));
    await api.close();
  });

  it('has a page for people, which takes nothing from elsewhere', async () => {
    const api = await makeApp();
    const text = (await api.ask('GET', '/docs', { as: null })).text.replaceAll('<wbr>', '');
    for (const route of routesOf(() => {})) assert.ok(text.includes(pathOf(route)), route.path);
    assert.equal(/<script|<link|src=/.test(text), false);
    await api.close();
  });
});
