import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Role, roles } from '#core/cluster/records.ts';
import { routesOf } from '#functions/app.ts';
import { makeApp } from './make-app.ts';

/** Made from the routes themselves: a route that is added is tested by being there. */
describe('every route is closed by default', () => {
  let api: Awaited<ReturnType<typeof makeApp>>;
  before(async () => {
    api = await makeApp();
  });
  after(() => api.close());

  for (const route of routesOf(() => {})) {
    const path = `${route.root ? '' : '/api/v1'}${route.path.replace(':group', 'g1').replace(':name', 'job').replace(':run', 'g1~job~x~1').replace(':id', 'w1')}`;
    const name = `${route.method} ${path}`;
    it(`${name}: nothing without a token`, async () => {
      assert.equal((await api.ask(route.method, path, { as: null })).status, 401);
      assert.equal(
        (await api.ask(route.method, path, { as: null, headers: { authorization: 'Bearer cf_x' } })).status,
        401,
      );
    });
    for (const role of roles) {
      const enough = roles.indexOf(role) >= roles.indexOf(route.role);
      it(`${name}: ${enough ? 'open to' : 'closed to'} ${role}`, async () => {
        const { status } = await api.ask(route.method, path, { as: role as Role });
        if (enough) assert.ok(status !== 401 && status !== 403 && status < 500, `status ${status}`);
        else assert.equal(status, 403);
      });
    }
    if (route.path.includes(':group') || route.path.includes(':run'))
      it(`${name}: closed to a token for another group`, async () => {
        const times = {
          instant: '2030-01-01T00:00:00Z',
          from: '2030-01-01T00:00:00Z',
          to: '2030-01-02T00:00:00Z',
        };
        const named =
          { '/jobs/:group/:name/skip': ['instant'], '/jobs/:group/:name/backfill': ['from', 'to'] }[
            route.path
          ] ?? [];
        const body = Object.fromEntries(Object.entries(times).filter(([field]) => named.includes(field)));
        const asked = route.path.endsWith('/search') ? `${path}?text=x` : path;
        const how = route.method === 'GET' ? {} : { body };
        assert.equal(
          (await api.ask(route.method, asked, { as: 'admin', groups: ['other'], ...how })).status,
          403,
        );
      });
  }

  it('tells of health no more than whether it is well, unless asked with a token', async () => {
    assert.deepEqual((await api.ask('GET', '/api/v1/health', { as: null })).json, { status: 'ok' });
    assert.deepEqual((await api.ask('GET', '/api/v1/health')).json.stores, { kv: 'ok', history: 'ok' });
  });
  it('a revoked token is nobody at once', async () => {
    const made = await api.ask('POST', '/api/v1/tokens', { body: { name: 'x', role: 'viewer' } });
    const headers = { authorization: `Bearer ${made.json.token}` };
    assert.equal((await api.ask('GET', '/api/v1/me', { as: null, headers })).status, 200);
    await api.ask('DELETE', `/api/v1/tokens/${made.json.id}`);
    assert.equal((await api.ask('GET', '/api/v1/me', { as: null, headers })).status, 401);
  });
});
