import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apiClient, Unreachable } from '#agent/cli/api-client.ts';
import { fleetFindings } from '#agent/cli/doctor/fleet-findings.ts';

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
});
