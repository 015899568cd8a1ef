// With a real provider on loopback, as the site asks: beside the tests with keys of our own, that we mean by these words what it means.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { forOidc, oidcOf } from '#core/cluster/oidc-settings.ts';
import { type RealProvider, startProvider } from '#test/real-provider.ts';
import { chance, redirectUri, Visitor } from '#test/visitor.ts';
import { type Api, makeApp } from './make-app.ts';

describe('a real provider', () => {
  let provider: RealProvider;
  let api: Api;
  before(async () => {
    provider = await startProvider({ redirectUri, groups: { alice: ['ops'], bob: ['dev'] } });
    const settings = oidcOf({
      ...forOidc(() => null),
      ...{
        'oidc-issuer': provider.issuer,
        'oidc-client': 'cronfleet',
        'oidc-roles': 'ops=admin,dev=editor:web',
      },
    });
    api = await makeApp({ fetch: globalThis.fetch, oidc: async () => settings });
  });
  after(async () => {
    await api.close();
    await provider.stop();
    assert.deepEqual(provider.faults, []);
  });

  const leave = async (visitor: Visitor, name: string, more: Record<string, string> = {}) =>
    await visitor.leaves((await api.ask('GET', '/api/v1/sign-in', { as: null })).json.oidc, name, more);
  const redeem = (body: object) => api.ask('POST', '/api/v1/sign-in', { as: null, body });
  const cookieOf = (headers: Headers) => /^[^;]*/.exec(headers.get('set-cookie') ?? '')?.[0] ?? '';
  const withCookie = (method: string, path: string, cookie: string) =>
    api.ask(method, path, { as: null, headers: { cookie } });
  const me = (token: string) =>
    api.ask('GET', '/api/v1/me', { as: null, headers: { authorization: `Bearer ${token}` } });

  it('signs people in: each with the role of their groups', async () => {
    for (const [name, expected] of [
      ['alice', { name: 'oidc:alice', role: 'admin', groups: null }],
      ['bob', { name: 'oidc:bob', role: 'editor', groups: ['web'] }],
    ] as const) {
      const { json } = await redeem((await leave(new Visitor(), name)).body);
      assert.ok(json.expiresIn > 3_500 && json.expiresIn <= 3_600);
      assert.deepEqual((await me(json.token)).json, expected);
    }
  });

  it('takes a code once, by the verifier and the address that asked for it', async () => {
    const { body } = await leave(new Visitor(), 'alice');
    for (const wrong of [{ verifier: chance() }, { redirectUri: 'https://evil.example.com/' }]) {
      const other = (await leave(new Visitor(), 'alice')).body;
      const { status, json } = await redeem({ ...other, ...wrong });
      assert.deepEqual([status, json.code], [401, 'sign_in_refused']);
    }
    assert.equal((await redeem(body)).status, 200);
    assert.match((await redeem(body)).json.detail, /invalid_grant/);
  });

  it('renews a session by the cookie until it is signed out, and then no more', async () => {
    const first = await redeem((await leave(new Visitor(), 'alice')).body);
    const renewed = await withCookie('POST', '/api/v1/sign-in/renew', cookieOf(first.headers));
    assert.equal(renewed.status, 200);
    assert.equal((await me(renewed.json.token)).json.name, 'oidc:alice');
    const cookie = cookieOf(renewed.headers);
    assert.notEqual(cookie, cookieOf(first.headers), 'the provider gives another one each time');
    assert.equal((await withCookie('DELETE', '/api/v1/sign-in', cookie)).status, 200);
    const { status, json } = await withCookie('POST', '/api/v1/sign-in/renew', cookie);
    assert.deepEqual([status, json.code], [401, 'sign_in_refused']);
  });

  it('answers without a question whom it knows, and says so of whom it does not', async () => {
    const visitor = new Visitor();
    await leave(visitor, 'alice');
    const { body } = await leave(visitor, 'nobody', { prompt: 'none' });
    assert.equal((await me((await redeem(body)).json.token)).json.name, 'oidc:alice');
    const { answer } = await leave(new Visitor(), 'nobody', { prompt: 'none' });
    assert.equal(answer.get('error'), 'login_required');
  });
});
