import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apiClient } from '#agent/cli/api-client.ts';
import { serverFindings } from '#agent/cli/doctor/server-findings.ts';
import { findServer } from '#agent/cli/server.ts';
import { version } from '#agent/cli/shipped.ts';

// No https: what shows a certificate is looked at by a connection of its own.
const url = 'http://cron.example.com';
const good: Record<string, [number, object]> = {
  '/health': [200, { status: 'ok', version, stores: { kv: 'ok', history: 'ok' } }],
  '/me': [200, { name: 'me', role: 'admin' }],
  '/sign-in': [200, { oidc: null }],
  '/findings': [200, { items: [] }],
  '/workers': [200, { items: [{ id: 'a', state: 'live', clockSkewMs: 0, tzdata: '2026b' }], next: null }],
};
const problem = (status: number, detail: string, more: object = {}): [number, object] => [
  status,
  { type: 'about:blank', title: 'No', status, code: 'x', detail, ...more },
];

async function said(answers: Record<string, [number, object]>): Promise<string[]> {
  const all = { ...good, ...answers };
  const server = async (asked: string | URL | Request) => {
    const [status, body] = all[String(asked).slice(`${url}/api/v1`.length)] ?? problem(404, 'no route');
    return Response.json(body, { status });
  };
  const context = { api: () => apiClient(url, 'cf_a_b', server as typeof fetch), now: () => 0 };
  return (await serverFindings(context, { fleet: false })).map(({ level, what }) => `${level} ${what}`);
}

async function failing(code: string, message: string, at = url): Promise<string> {
  const cause = Object.assign(new Error(message), { code });
  const away = () => Promise.reject(new TypeError('fetch failed', { cause }));
  const context = { api: () => apiClient(at, 'cf_a_b', away), now: () => 0 };
  const [found] = await serverFindings(context, { fleet: false });
  assert.equal(found?.level, 'bad');
  return found.what;
}

describe('doctor on a server', () => {
  it('finds nothing wrong with one that is well', async () => {
    const found = await said({});
    assert.deepEqual(
      found.filter((one) => !one.startsWith('ok ')),
      [],
    );
    assert.match(found[0] ?? '', /answers in 0 ms: ok \(kv ok, history ok\)/);
  });

  it('names the store that a server does not reach, and looks at what can be seen without it', async () => {
    const away = 'the history does not answer at the moment; try again';
    const found = await said({
      '/health': [503, { status: 'degraded', version, stores: { kv: 'ok', history: 'away' } }],
      '/workers': problem(503, away),
    });
    assert.match(
      found[0] ?? '',
      /^bad http:\/\/cron\.example\.com answers.*degraded \(kv ok, history away\)/,
    );
    assert.ok(found.includes('ok the token is good: me, admin'), found.join('\n'));
    assert.ok(found.includes(`bad ${url}: ${away}`), found.join('\n'));
  });

  it('says what stands in front of servers that are all away, and no id that nobody gave', async () => {
    const [found] = await said({ '/health': problem(502, 'no server of this fleet has answered') });
    assert.equal(found, `bad ${url} failed: no server of this fleet has answered`);
    const [fault] = await said({ '/health': problem(500, 'an error', { requestId: 'r1' }) });
    assert.equal(fault, `bad ${url} failed: an error (r1)`);
  });

  it('tells a page that is not ours from an API', async () => {
    assert.match(
      (await said({ '/health': [503, { message: 'Service Unavailable' }] }))[0] ?? '',
      /right URL\?/,
    );
  });

  it('does not take a certificate that is refused for a server that is away', async () => {
    for (const [code, message, advice] of [
      ['CERT_HAS_EXPIRED', 'certificate has expired', /renew/],
      ['CERT_NOT_YET_VALID', 'certificate is not yet valid', /clock/],
      ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify the first certificate', /authorit/],
      ['SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain', /authorit/],
      ['ERR_TLS_CERT_ALTNAME_INVALID', "Hostname/IP does not match certificate's altnames", /name/],
    ] as const) {
      const what = await failing(code, message);
      assert.match(what, advice);
      assert.ok(what.includes(message), what);
      assert.doesNotMatch(what, /running|npm start/);
    }
  });

  it('misses no server on a host of a fleet, whose stores can be looked at without one', async () => {
    const api = () => findServer({ data: '/nowhere' }, fetch);
    const [wanted] = await serverFindings({ api, now: () => 0 }, { fleet: false });
    assert.deepEqual([wanted?.level, /no server is known/.test(wanted?.what ?? '')], ['bad', true]);
    const [missed] = await serverFindings({ api, now: () => 0 }, { fleet: true });
    assert.equal(missed?.level, 'note');
  });

  it('advises to start only what may be started here', async () => {
    assert.match(await failing('ECONNREFUSED', 'refused', 'http://127.0.0.1:8787'), /cronfleet up/);
    const far = await failing('ECONNREFUSED', 'refused');
    assert.doesNotMatch(far, /cronfleet up/);
    assert.match(far, /right URL/);
  });
});
