import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningFunction } from '#test/lambda/function.ts';
import { startProvider } from '#test/real-provider.ts';
import { redirectUri, Visitor } from '#test/visitor.ts';
import { deployment, firstToken } from './deployment.ts';

const cloud = await deployment();
cloud.set('first-token', firstToken);
const provider = await startProvider({ redirectUri, groups: { alice: ['ops'] } });
after(() => provider.stop());

async function ask(to: RunningFunction, method: string, path: string, more: RequestInit = {}) {
  const response = await to.request(new Request(`https://x/api/v1${path}`, { method, ...more }));
  // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
  const json: any = await response.json();
  return { status: response.status, headers: response.headers, json };
}
const by = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe('people in the cloud', () => {
  it('sign in by the provider that the settings name, stay signed in through a freeze, and sign out', async () => {
    cloud.set('oidc-issuer', provider.issuer);
    cloud.set('oidc-client', 'cronfleet');
    cloud.set('oidc-roles', 'ops=admin');
    const api = await cloud.start();
    const { json: ways } = await ask(api, 'GET', '/sign-in');
    const { body } = await new Visitor().leaves(ways.oidc, 'alice');
    const first = await ask(api, 'POST', '/sign-in', {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    assert.equal(first.status, 200, api.log());
    assert.equal((await ask(api, 'GET', '/me', by(first.json.token))).json.name, 'oidc:alice');
    assert.equal((await ask(api, 'GET', '/me', by(firstToken))).json.name, 'first');
    api.freeze();
    await sleep(1_500);
    api.thaw();
    const cookie = /^[^;]*/.exec(first.headers.get('set-cookie') ?? '')?.[0] ?? '';
    const renewed = await ask(api, 'POST', '/sign-in/renew', { headers: { cookie } });
    assert.equal(renewed.status, 200);
    assert.equal((await ask(api, 'GET', '/me', by(renewed.json.token))).json.role, 'admin');
    const now = /^[^;]*/.exec(renewed.headers.get('set-cookie') ?? '')?.[0] ?? '';
    assert.equal((await ask(api, 'DELETE', '/sign-in', { headers: { cookie: now } })).status, 200);
    assert.equal((await ask(api, 'POST', '/sign-in/renew', { headers: { cookie: now } })).status, 401);
  });

  it('are told which setting is wrong', async () => {
    cloud.set('oidc-roles', 'ops=chief');
    const api = await cloud.start();
    const { status, json } = await ask(api, 'GET', '/sign-in');
    assert.deepEqual([status, json.code], [503, 'settings_invalid']);
    assert.match(json.detail, /\/cronfleet\/test\/oidc-roles is not valid; expected GROUP=ROLE/);
  });
});
