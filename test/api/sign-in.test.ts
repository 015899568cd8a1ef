import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { oidcOf } from '#core/cluster/oidc-settings.ts';
import { type Role, roles } from '#core/cluster/records.ts';
import { routesOf } from '#functions/app.ts';
import { pathOf } from '#functions/route.ts';
import { effort } from '#test/effort.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { makeIssuer } from './issuer.ts';
import { type Api, makeApp } from './make-app.ts';

let clock: VirtualClock;
let issuer: ReturnType<typeof makeIssuer>;
let api: Api;

const texts = (more: Record<string, string> = {}) => ({
  ...{ 'oidc-issuer': 'https://id.example.com/realm', 'oidc-client': 'cronfleet' },
  ...{ 'oidc-client-secret': null, 'oidc-audience': null, 'oidc-groups-claim': null, 'oidc-scopes': null },
  'oidc-roles': 'ops=admin, dev=editor:web+batch, on-call=operator, staff=viewer',
  ...more,
});

async function given(more: Record<string, string> = {}): Promise<void> {
  const settings = oidcOf(texts(more));
  api = await makeApp({ clock, fetch: issuer.fetch, oidc: async () => settings });
}

beforeEach(async () => {
  clock = new VirtualClock();
  issuer = makeIssuer(clock);
  await given();
});
afterEach(() => api.close());

const as = (token: string) => ({ as: null, headers: { authorization: `Bearer ${token}` } });
const me = (token: string) => api.ask('GET', '/api/v1/me', as(token));
const askedForKeys = () => issuer.state.asked.filter((path) => path === '/keys').length;

async function refused(token: string, code: string, says: RegExp): Promise<void> {
  const { status, json } = await me(token);
  assert.deepEqual([status, json.code], [401, code], json.detail);
  assert.match(json.detail, says);
}

describe("a provider's token", () => {
  it('is somebody: named by it, with the role of its groups, and in the audit', async () => {
    const ops = issuer.token({ preferred_username: 'alice', groups: ['x', 'ops'] });
    assert.deepEqual((await me(ops)).json, { name: 'oidc:alice', role: 'admin', groups: null });
    const job = { command: 'x', schedule: '* * * * *' };
    assert.equal(
      (await api.ask('PUT', '/api/v1/jobs/web/a', { ...as(ops), body: job })).json.updatedBy,
      'oidc:alice',
    );
    const { items } = (await api.ask('GET', '/api/v1/audit')).json;
    assert.deepEqual([items[0].who, items[0].target], ['oidc:alice', 'web/a']);
    const told = api.told.find((event) => event.type === 'http.request');
    assert.ok(told?.type === 'http.request' && told.who === 'oidc:alice');
  });

  it('has a role for some groups of jobs where its group has', async () => {
    const dev = issuer.token({ email: 'bob@example.com', groups: ['dev'] });
    assert.deepEqual((await me(dev)).json, {
      ...{ name: 'oidc:bob@example.com', role: 'editor', groups: ['web', 'batch'] },
    });
    const body = { command: 'x' };
    assert.equal((await api.ask('PUT', '/api/v1/jobs/web/a', { ...as(dev), body })).status, 201);
    assert.equal((await api.ask('PUT', '/api/v1/jobs/other/a', { ...as(dev), body })).status, 403);
  });

  it('without a group that has a role is told which groups it has and what to set', async () => {
    const { status, json } = await me(issuer.token({ name: 'Carl', groups: ['sales', 'lunch'] }));
    assert.deepEqual([status, json.code], [403, 'no_role']);
    assert.match(
      json.detail,
      /oidc:Carl is known.*claim groups, are "sales", "lunch"; oidc-roles has a line for none/,
    );
    assert.match(
      (await me(issuer.token())).json.detail,
      /no groups, by the claim groups; .*set oidc-groups-claim/,
    );
    const tooMany = { _claim_names: { groups: 'src1' }, _claim_sources: {} };
    assert.match((await me(issuer.token(tooMany))).json.detail, /too many/);
  });

  it('has its groups where the settings say: under a name with dots, along a path, in one text', async () => {
    for (const [claim, claims] of [
      ['realm_access.roles', { realm_access: { roles: ['ops'] } }],
      ['https://example.com/groups', { 'https://example.com/groups': ['ops'] }],
      ['hd', { hd: 'ops' }],
      ['email', { email: 'ops' }],
    ] as const) {
      await api.close();
      await given({ 'oidc-groups-claim': claim });
      assert.equal((await me(issuer.token(claims))).json.role, 'admin', claim);
    }
    // Some providers write it as a text.
    for (const unproven of [false, 'false', 0, null])
      assert.equal((await me(issuer.token({ email: 'ops', email_verified: unproven }))).status, 403);
    assert.equal((await me(issuer.token({ email: 'ops', email_verified: 'true' }))).status, 200);
    for (const odd of [
      { groups: { ops: 'ops' } },
      { groups: [['ops']] },
      { groups: null },
      { groups: 'ops ' },
    ]) {
      await api.close();
      await given();
      assert.equal((await me(issuer.token(odd))).status, 403, JSON.stringify(odd));
    }
  });

  it('is taken however its issuer signs, as long as nobody else can', async () => {
    for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) {
      issuer.rotate(alg);
      await clock.advance(31_000);
      assert.equal((await me(issuer.token({ groups: ['ops'] }))).status, 200, alg);
    }
    const groups = { groups: ['ops'] };
    await refused(issuer.unsigned(groups), 'unauthorized', /not signed in a way/);
    await refused(issuer.byPublicKey(groups), 'unauthorized', /not signed in a way/);
    const [head = '', , signature = ''] = issuer.token().split('.');
    const forged = Buffer.from(JSON.stringify({ iss: issuer.issuer, aud: 'cronfleet', sub: 's', ...groups }));
    await refused(
      `${head}.${forged.toString('base64url')}.${signature}`,
      'unauthorized',
      /not one that its issuer/,
    );
    await refused(
      issuer
        .token(groups, { kid: undefined, jwk: {}, jku: 'https://evil.example.com' })
        .replace(/.{4}$/, 'AAAA'),
      'unauthorized',
      /not one/,
    );
    await refused('eyJhIjoxfQ.eyJhIjoxfQ.x', 'unauthorized', /not/);
  });

  it('with a letter changed, cut off, or made of anything, is nobody', async () => {
    const good = issuer.token({ groups: ['ops'] });
    assert.equal((await me(good)).status, 200);
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
    const part = fc.oneof(
      fc.json().map((text) => Buffer.from(text).toString('base64url')),
      fc
        .dictionary(
          fc.constantFrom('alg', 'kid', 'typ', 'crit', 'b64', 'iss', 'exp', 'sub', 'aud'),
          fc.jsonValue(),
        )
        .map((one) => Buffer.from(JSON.stringify(one)).toString('base64url')),
      fc.constantFrom(...good.split('.')),
    );
    const bad = fc.oneof(
      // The last letters of a signature may hold bits that nobody reads.
      fc
        .tuple(fc.nat(good.length - 3), fc.constantFrom(...letters))
        .map(([at, letter]) => good.slice(0, at) + letter + good.slice(at + 1)),
      fc.nat(good.length - 1).map((length) => good.slice(0, length)),
      fc.tuple(part, part, part).map((parts) => parts.join('.')),
    );
    await fc.assert(
      fc.asyncProperty(bad, async (token) => {
        if (token === good) return;
        const { status, json } = await api.ask('GET', '/api/v1/me', as(token));
        assert.equal(status, 401, `${token} ${JSON.stringify(json)}`);
      }),
      { numRuns: effort(300, 5_000) },
    );
  });

  it('ends a minute after its time, and begins a minute before, for clocks are never quite alike', async () => {
    const groups = ['ops'];
    const at = (claims: Record<string, unknown>) => issuer.token({ groups, ...claims });
    assert.equal((await me(at({ exp: issuer.now() - 59 }))).status, 200);
    await refused(
      at({ exp: issuer.now() - 60 }),
      'token_expired',
      /ended at 2026-11-22T16:34:00.000Z.*2026-11-22T16:35:00.000Z/,
    );
    assert.equal((await me(at({ nbf: issuer.now() + 60 }))).status, 200);
    await refused(at({ nbf: issuer.now() + 61 }), 'unauthorized', /begins later.*is a clock wrong/);
  });

  it('of another issuer, for another client, or of another kind is nobody', async () => {
    const groups = ['ops'];
    await refused(
      issuer.token({ groups, iss: 'https://evil.example.com' }),
      'unauthorized',
      /expected "https:\/\/id/,
    );
    await refused(issuer.token({ groups, aud: 'shop' }), 'unauthorized', /is for "shop"; expected cronfleet/);
    await refused(issuer.token({ groups, aud: undefined }), 'unauthorized', /aud is missing/);
    await refused(issuer.token({ groups, sub: undefined }), 'unauthorized', /sub is missing/);
    await refused(issuer.token({ groups, exp: undefined }), 'unauthorized', /exp is missing/);
    await refused(issuer.token({ groups }, { typ: 'logout+jwt' }), 'unauthorized', /no credential/);
    await refused(issuer.token({ groups, cnf: { jkt: 'x' } }), 'unauthorized', /a key that was not shown/);
    assert.equal(
      (await me(issuer.token({ groups, aud: ['shop', 'cronfleet'] }, { typ: 'at+jwt' }))).status,
      200,
    );
    await api.close();
    await given({ 'oidc-audience': 'api://cronfleet' });
    assert.equal((await me(issuer.token({ groups, aud: 'api://cronfleet' }, { typ: 'at+jwt' }))).status, 200);
  });

  it('that was signed by a key that is new is taken, and one by a key taken back is not, ten minutes later', async () => {
    const groups = ['ops'];
    assert.equal((await me(issuer.token({ groups }))).status, 200);
    issuer.rotate();
    await clock.advance(31_000);
    const second = issuer.token({ groups, exp: issuer.now() + 3_600 });
    assert.equal((await me(second)).status, 200);
    assert.equal(askedForKeys(), 2);
    issuer.rotate();
    assert.equal((await me(second)).status, 200);
    await clock.advance(600_000);
    await refused(second, 'unauthorized', /no key of its issuer/);
  });

  it('with a made-up key has the provider asked no more than twice a minute', async () => {
    assert.equal((await me(issuer.token({ groups: ['ops'] }))).status, 200);
    await clock.advance(31_000);
    for (let i = 0; i < 20; i += 1)
      await refused(issuer.token({}, { kid: `made-up-${i}` }), 'unauthorized', /no key of its issuer/);
    assert.equal(askedForKeys(), 2);
  });

  it('finds its key without a name among several', async () => {
    issuer.add('RS256');
    const first = issuer.token({ groups: ['ops'] }, { kid: undefined });
    issuer.add('RS256');
    assert.equal((await me(first)).status, 200);
    const stranger = makeIssuer(clock).token({ groups: ['ops'] }, { kid: undefined });
    await refused(stranger, 'unauthorized', /no key of its issuer/);
  });

  it('while the provider is away gets a 503 that says so, and tokens of ours work on', async () => {
    issuer.state.away = true;
    const token = issuer.token({ groups: ['ops'] });
    const { status, json, headers } = await me(token);
    assert.deepEqual([status, json.code, headers.get('retry-after')], [503, 'provider_away', '5']);
    assert.match(json.detail, /id\.example\.com.*can not be reached from here: connect ECONNREFUSED/);
    assert.equal((await api.ask('GET', '/api/v1/me')).status, 200);
    assert.equal((await api.ask('GET', '/api/v1/health', as(token))).status, 200);
    assert.equal(issuer.state.asked.length, 1, 'the next ones are told at once');
    assert.equal(api.told.filter(({ type }) => type === 'provider.finding').length, 1, 'as is the log');
    issuer.state.away = false;
    await clock.advance(5_000);
    assert.equal((await me(token)).status, 200);
  });

  it('is judged by the keys that are known while the provider is away, for a day', async () => {
    const token = () => issuer.token({ groups: ['ops'] });
    assert.equal((await me(token())).status, 200);
    issuer.state.away = true;
    await clock.advance(3_600_000);
    assert.equal((await me(token())).status, 200);
    assert.equal((await me(issuer.token({}, { kid: 'new' }))).status, 503, 'it may be good, for all we know');
    await clock.advance(86_400_000);
    assert.equal((await me(token())).status, 503);
  });

  it('is waited for five seconds where the provider is silent', async () => {
    issuer.state.away = () => new Promise(() => {});
    const held = issuer.fetch;
    await api.close();
    const settings = oidcOf(texts());
    api = await makeApp({
      ...{ clock, oidc: async () => settings },
      fetch: (url, init) =>
        Promise.race([
          held(url, init),
          new Promise<never>((_, reject) =>
            init?.signal?.addEventListener('abort', () => reject(new Error('aborted'))),
          ),
        ]),
    });
    const waited = me(issuer.token());
    await clock.advance(5_000);
    assert.match((await waited).json.detail, /no answer within 5 s/);
  });

  it('is nobody where a provider is not set', async () => {
    await api.close();
    api = await makeApp({ clock });
    await refused(issuer.token({ groups: ['ops'] }), 'unauthorized', /a bearer token that stands/);
  });

  it('opens to a role what a token of ours of that role opens, and nothing else', async () => {
    const groupOf: Record<Role, string> = {
      viewer: 'staff',
      operator: 'on-call',
      editor: 'writers',
      admin: 'ops',
    };
    await api.close();
    await given({ 'oidc-roles': 'staff=viewer,on-call=operator,writers=editor,ops=admin' });
    for (const route of routesOf(() => {})) {
      const path = pathOf(route).replace(/:\w+/g, 'x');
      for (const role of roles) {
        const { status } = await api.ask(route.method, path, as(issuer.token({ groups: [groupOf[role]] })));
        const enough = roles.indexOf(role) >= roles.indexOf(route.role);
        assert.equal(
          status !== 403 && status !== 401,
          enough,
          `${route.method} ${path} as ${role}: ${status}`,
        );
      }
    }
  });
});

describe('what a provider says of itself', () => {
  const says = async () => (await api.ask('GET', '/api/v1/sign-in', { as: null })).json.detail;

  it('is for another issuer, is none, or is not safe: each is named with what to set', async () => {
    for (const [metadata, expected] of [
      [
        { issuer: 'https://id.example.com/realm/' },
        /calls itself "https:\/\/id\.example\.com\/realm\/"; set oidc-issuer to exactly/,
      ],
      [
        { token_endpoint: undefined },
        /no discovery document: wrong are token_endpoint; is oidc-issuer right/,
      ],
      [{ token_endpoint: 'http://id.example.com/token' }, /names http:\/\/id.*expected https/],
      // It would be told the refresh token and our secret; the other becomes a link of the page.
      [{ revocation_endpoint: 'http://id.example.com/r' }, /names http:\/\/id.*expected https/],
      [{ end_session_endpoint: 'javascript:alert(1)' }, /names javascript:alert.*expected https/],
    ] as const) {
      issuer.state.metadata = metadata;
      assert.match(await says(), expected);
      await clock.advance(5_000);
    }
    issuer.state.away = () => new Response('<html>', { status: 200 });
    assert.match(await says(), /no discovery document/);
    await clock.advance(5_000);
    issuer.state.away = () => new Response('', { status: 404 });
    assert.match(await says(), /HTTP 404; is oidc-issuer right/);
  });
});

describe('the routes of signing in', () => {
  it('stand in the OpenAPI document and on the page for people, as open', async () => {
    const { json } = await api.ask('GET', '/openapi.json', { as: null });
    const { get, post, delete: out } = json.paths['/api/v1/sign-in'];
    for (const one of [get, post, out, json.paths['/api/v1/sign-in/renew'].post]) {
      assert.deepEqual(one.security, []);
      assert.ok(one.responses[200].content['application/json'].schema.properties);
    }
    assert.deepEqual(post.requestBody.content['application/json'].schema.required, [
      ...['code', 'verifier', 'redirectUri', 'nonce'],
    ]);
    const { text } = await api.ask('GET', '/docs', { as: null });
    assert.match(text.replaceAll('<wbr>', ''), /POST<\/code><\/td><td><code>\/api\/v1\/sign-in\/renew/);
  });

  it('are told of as the others are, in a way that they do not know', async () => {
    for (const [path, allow] of [
      ['/api/v1/sign-in', 'GET, POST, DELETE, HEAD'],
      ['/api/v1/sign-in/renew', 'POST'],
    ] as const) {
      const { status, headers } = await api.ask('PUT', path, { as: null });
      assert.deepEqual([status, headers.get('allow')], [405, allow]);
    }
  });
});

describe('signing in', () => {
  const verifier = 'v'.repeat(43);
  const nonce = 'n'.repeat(22);
  const code = { code: 'c1', verifier, redirectUri: 'https://cron.example.com/sign-in', nonce };
  const post = (body: unknown = code, headers: Record<string, string> = {}) =>
    api.ask('POST', '/api/v1/sign-in', { as: null, body, headers });
  const renew = (cookie?: string) =>
    api.ask('POST', '/api/v1/sign-in/renew', { as: null, headers: cookie === undefined ? {} : { cookie } });
  const gives = (claims: Record<string, unknown>, refresh?: string) => {
    issuer.state.tokens = () => ({
      status: 200,
      json: {
        ...{ access_token: 'opaque', token_type: 'Bearer' },
        id_token: issuer.token({ nonce, groups: ['ops'], preferred_username: 'alice', ...claims }),
        ...(refresh === undefined ? {} : { refresh_token: refresh }),
      },
    });
  };

  it('begins with where to go, which is nowhere without a provider', async () => {
    const { json } = await api.ask('GET', '/api/v1/sign-in', { as: null });
    assert.deepEqual(json.oidc, {
      ...{ issuer: issuer.issuer, clientId: 'cronfleet', scopes: 'openid profile email' },
      authorizationEndpoint: `${issuer.issuer}/auth`,
    });
    await api.close();
    api = await makeApp({ clock });
    assert.deepEqual((await api.ask('GET', '/api/v1/sign-in', { as: null })).json, { oidc: null });
    const { status, json: no } = await post();
    assert.deepEqual([status, no.code], [404, 'sign_in_off']);
  });

  it('redeems a code by PKCE, keeps the refresh token from scripts, and says so in the audit', async () => {
    gives({}, 'the-refresh-token');
    const { status, json, headers } = await post();
    assert.deepEqual([status, json.expiresIn], [200, 300]);
    assert.deepEqual(issuer.state.sent, [
      {
        body: {
          ...{ grant_type: 'authorization_code', code: 'c1', code_verifier: verifier },
          ...{ redirect_uri: code.redirectUri, client_id: 'cronfleet' },
        },
        authorization: null,
      },
    ]);
    const cookie = headers.get('set-cookie') ?? '';
    assert.match(
      cookie,
      /^__Secure-cronfleet=the-refresh-token; Path=\/api\/v1\/sign-in; HttpOnly; Secure; SameSite=Strict$/,
    );
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal(JSON.stringify(json).includes('refresh'), false);
    assert.equal((await me(json.token)).json.name, 'oidc:alice');
    const [entry] = (await api.ask('GET', '/api/v1/audit')).json.items;
    assert.deepEqual([entry.who, entry.what], ['oidc:alice', 'sign-in']);
    assert.deepEqual(entry.after, { issuer: issuer.issuer, subject: 's1', role: 'admin', groups: null });
  });

  it('shows a secret where there is one, in the way that the provider takes', async () => {
    for (const [ways, inBody] of [
      [undefined, false],
      [['client_secret_post'], true],
      [['client_secret_post', 'client_secret_basic'], false],
    ] as const) {
      await api.close();
      await given({ 'oidc-client-secret': 's:e/c' });
      issuer.state.metadata = { token_endpoint_auth_methods_supported: ways };
      gives({});
      assert.equal((await post()).status, 200);
      const { body, authorization } = issuer.state.sent.at(-1) ?? {};
      assert.equal(body?.client_secret, inBody ? 's:e/c' : undefined);
      const basic = `Basic ${Buffer.from('cronfleet:s%3Ae%2Fc').toString('base64')}`;
      assert.equal(authorization, inBody ? null : basic);
    }
  });

  it('is refused with an ID token of another sign-in, or for another client, or with none', async () => {
    gives({ nonce: 'other' });
    assert.match((await post()).json.detail, /another sign-in \(nonce\)/);
    gives({ nonce: undefined });
    assert.equal((await post()).status, 401);
    gives({ aud: 'shop' });
    assert.match((await post()).json.detail, /is for "shop"/);
    issuer.state.tokens = () => ({ status: 200, json: { access_token: 'x' } });
    const { status, json } = await post();
    assert.deepEqual([status, json.code], [401, 'sign_in_refused']);
  });

  it('is not for an access token for another audience that we take elsewhere', async () => {
    await api.close();
    await given({ 'oidc-audience': 'api://cronfleet' });
    gives({ aud: 'api://cronfleet' });
    assert.equal((await post()).status, 401);
  });

  it('says what the provider says, and whose it is to change', async () => {
    issuer.state.tokens = () => ({
      status: 400,
      json: { error: 'invalid_grant', error_description: 'code is used' },
    });
    const grant = await post();
    assert.deepEqual([grant.status, grant.json.code], [401, 'sign_in_refused']);
    assert.match(grant.json.detail, /the provider says invalid_grant: code is used; sign in again/);
    issuer.state.tokens = () => ({ status: 401, json: { error: 'invalid_client' } });
    const client = await post();
    assert.deepEqual(
      [client.status, client.json.code, client.headers.get('retry-after')],
      [503, 'provider_refused', '60'],
    );
    assert.match(client.json.detail, /invalid_client; is what it knows of oidc-client/);
    issuer.state.tokens = () => ({ status: 502, json: 'bad gateway' });
    assert.match((await post()).json.detail, /HTTP 502 and no tokens/);
  });

  it('says whose clock is off', async () => {
    for (const [off, says] of [
      [-600, /provider's clock is 600 s behind this server's; expected at most 60; have both set by NTP/],
      [600, /provider's clock is 600 s ahead of this server's/],
    ] as const) {
      gives({ iat: issuer.now() + off, exp: issuer.now() + off + 300 });
      const { status, json } = await post();
      assert.deepEqual([status, json.code], [503, 'clock_skewed']);
      assert.match(json.detail, says);
    }
  });

  it('without a role leaves nothing behind', async () => {
    gives({ groups: ['sales'] }, 'r1');
    const { status, json, headers } = await post();
    assert.deepEqual([status, json.code, headers.get('set-cookie')], [403, 'no_role', null]);
  });

  it('is for pages of this site alone, and for bodies that are as they should be', async () => {
    gives({}, 'r1');
    for (const site of ['cross-site', 'same-site', 'none'])
      assert.equal((await post(code, { 'sec-fetch-site': site })).status, 403, site);
    assert.equal((await post(code, { 'sec-fetch-site': 'same-origin' })).status, 200);
    assert.equal((await post(code, { 'content-type': 'text/plain' })).status, 415);
    const { status, json } = await post({ code: '', verifier: 'short', redirectUri: 'x', more: 1 });
    assert.equal(status, 422);
    assert.deepEqual(json.errors.map(({ path }: { path: string }) => path).sort(), [
      'code',
      'more',
      'nonce',
      'redirectUri',
      'verifier',
    ]);
    assert.equal((await post('x'.repeat(1_100_000))).status, 413);
    assert.equal(issuer.state.sent.length, 1);
  });

  it('lasts by the cookie: another token, and the cookie that the provider has now', async () => {
    gives({ nonce: undefined }, 'r2');
    const { status, json, headers } = await renew('__Secure-cronfleet=r1');
    assert.equal(status, 200);
    assert.deepEqual(issuer.state.sent.at(-1)?.body, {
      ...{ grant_type: 'refresh_token', refresh_token: 'r1', client_id: 'cronfleet' },
    });
    assert.match(headers.get('set-cookie') ?? '', /^__Secure-cronfleet=r2; .*HttpOnly/);
    assert.equal((await me(json.token)).status, 200);
    gives({ nonce: undefined });
    assert.equal((await renew('__Secure-cronfleet=r2')).headers.get('set-cookie'), null, 'it is kept');
  });

  it('is over where the provider says so, and the cookie with it; not where the provider is away', async () => {
    assert.deepEqual((await renew()).json.code, 'sign_in_refused');
    const { status, headers } = await renew('__Secure-cronfleet=r1');
    assert.equal(status, 401);
    assert.match(headers.get('set-cookie') ?? '', /^__Secure-cronfleet=; Max-Age=0/);
    issuer.state.away = true;
    const away = await renew('__Secure-cronfleet=r1');
    assert.deepEqual([away.status, away.headers.get('set-cookie')], [503, null]);
  });

  it('does without a cookie that no browser would keep', async () => {
    gives({}, 'r'.repeat(5_000));
    const { status, headers } = await post();
    assert.equal(status, 200);
    assert.match(headers.get('set-cookie') ?? '', /^__Secure-cronfleet=; Max-Age=0/);
  });

  it('ends with signing out: the provider forgets the session, whether it answers or not', async () => {
    const out = () =>
      api.ask('DELETE', '/api/v1/sign-in', { as: null, headers: { cookie: '__Secure-cronfleet=r1' } });
    const { json, headers } = await out();
    assert.deepEqual(json, { endSessionEndpoint: `${issuer.issuer}/out` });
    assert.match(headers.get('set-cookie') ?? '', /^__Secure-cronfleet=; Max-Age=0/);
    assert.deepEqual(issuer.state.sent.at(-1)?.body, {
      ...{ token: 'r1', token_type_hint: 'refresh_token', client_id: 'cronfleet' },
    });
    issuer.state.away = true;
    assert.equal((await out()).status, 200);
  });
});
