import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apiClient, Unreachable } from '#agent/cli/api-client.ts';
import { fleetFindings } from '#agent/cli/doctor/fleet-findings.ts';
import { serverFindings } from '#agent/cli/doctor/server-findings.ts';
import { version } from '#agent/cli/shipped.ts';

const answering = (status: number, body: unknown) =>
  apiClient('http://127.0.0.1:1', 't', async () => new Response(JSON.stringify(body), { status }));
const never = new AbortController().signal;
const problem = (code: string) => ({ code, detail: code });

describe('doctor', () => {
  it('takes a server that is not well for one all the same, and something else in its place for none', async () => {
    const degraded = { status: 'degraded', stores: { kv: 'away', history: 'ok' } };
    assert.deepEqual(await answering(503, degraded).health(never), degraded);
    await assert.rejects(answering(503, { message: 'no upstream' }).health(never), Unreachable);
    await assert.rejects(answering(502, {}).health(never), Unreachable);
  });

  it('tells what the server finds: errors as bad, warnings as notes', async () => {
    const items = [
      { code: 'overdue', level: 'error', what: 'overdue: default/a', advice: 'look' },
      { code: 'channels_none', level: 'warning', what: 'nobody is told', advice: '' },
      { code: 'worker_none', level: 'error', what: 'said of the workers themselves', advice: '' },
    ];
    assert.deepEqual(await fleetFindings(answering(200, { items })), [
      { level: 'bad', what: 'overdue: default/a', advice: 'look' },
      { level: 'note', what: 'nobody is told', advice: '' },
    ]);
    const [fine] = await fleetFindings(answering(200, { items: [] }));
    assert.equal(fine?.level, 'ok');
  });

  it('makes do with a server of before, with a token that may not ask, and with a store that is away', async () => {
    assert.deepEqual(await fleetFindings(answering(404, problem('route_not_found'))), []);
    const [refused] = await fleetFindings(answering(403, problem('forbidden')));
    assert.equal(refused?.level, 'note');
    const [away] = await fleetFindings(answering(503, problem('store_unavailable')));
    assert.equal(away?.level, 'bad');
  });

  it("holds this clock against the server's, and takes no slow answer for a clock that is off", async () => {
    const clockOf = async (server: { aheadMs: number; tookMs: number }) => {
      let now = Date.parse('2026-11-22T16:35:00.000Z');
      const fetcher = async () => {
        const date = new Date(now + server.aheadMs).toUTCString();
        now += server.tookMs;
        return new Response(JSON.stringify({ status: 'ok', items: [], oidc: null }), { headers: { date } });
      };
      const api = () => apiClient('http://127.0.0.1:1', 't', fetcher as typeof fetch);
      const found = await serverFindings({ api, now: () => now }, { fleet: false });
      const said = found.filter(({ what }) => what.startsWith('this clock'));
      return said.map(({ level, what }) => `${level} ${what}`);
    };
    const agree = ["ok this clock and the server's agree"];
    assert.deepEqual(await clockOf({ aheadMs: 0, tookMs: 10 }), agree);
    assert.deepEqual(await clockOf({ aheadMs: 0, tookMs: 9_000 }), agree);
    assert.deepEqual(await clockOf({ aheadMs: 9_000, tookMs: 9_000 }), agree);
    const apart = (seconds: number) => [`bad this clock and the server's are ${seconds} s apart`];
    assert.deepEqual(await clockOf({ aheadMs: -5_000, tookMs: 10 }), apart(5));
    assert.deepEqual(await clockOf({ aheadMs: -5_000, tookMs: 9_000 }), apart(5));
    assert.deepEqual(await clockOf({ aheadMs: 15_000, tookMs: 9_000 }), apart(-6));
  });

  it('goes on where one route is not answered, and says each trouble once; not where the token is refused', async () => {
    const doctor = async (answers: Record<string, [status: number, body: unknown]>) => {
      const fetcher = async (url: string | URL | Request) => {
        const [status, body] = answers[new URL(String(url)).pathname.replace('/api/v1', '')] ?? [
          404,
          problem('route_not_found'),
        ];
        return new Response(JSON.stringify(body), { status });
      };
      const api = () => apiClient('http://127.0.0.1:1', 't', fetcher as typeof fetch);
      return (await serverFindings({ api, now: () => 0 }, { fleet: false })).map(
        ({ level, what }) => `${level} ${what}`,
      );
    };
    const health = {
      ...{ status: 'degraded', version, stores: { kv: 'ok', history: 'away' } },
      away: { history: { since: '2026-11-22T16:35:00.000Z', why: 'unavailable' } },
    };
    const away = { code: 'store_unavailable', detail: 'the history does not answer' };
    const said = await doctor({
      '/health': [503, health],
      '/me': [200, { name: 'ann', role: 'viewer' }],
      '/workers': [503, away],
      '/findings': [503, away],
    });
    assert.match(said[0] ?? '', /^bad .*\(kv ok, history away since 2026-11-22 16:35:00Z, unavailable\)/);
    assert.deepEqual(said.slice(1), [
      'ok the token is good: ann, viewer',
      `ok version ${version}, here and there`,
      'bad http://127.0.0.1:1: the history does not answer',
    ]);
    const refused = await doctor({
      '/health': [200, { status: 'ok' }],
      '/me': [401, problem('unauthorized')],
    });
    assert.deepEqual(refused.slice(1), ['bad unauthorized']);
  });
});
