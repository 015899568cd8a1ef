import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AgentFigures } from '#agent/figures.ts';
import { processMetrics } from '#agent/metrics/process-metrics.ts';
import { blankRun } from '#core/model/run.ts';
import type { Event } from '#core/ports/events.ts';
import { HistoryError } from '#core/ports/history.ts';
import { KvError } from '#core/ports/kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { meteredHistory, meteredKv, type SeeCall } from '#core/stores/metered.ts';
import { makeApp } from '#test/api/make-app.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

const figures: AgentFigures = {
  ...{ living: 3, capacity: 7, jobs: 12, revision: '345', mayClaim: true, leaseLeftMs: 8_500 },
  draining: false,
  spool: { bytes: 1_000, limitBytes: 4_000, records: 2, pieces: 5, lagMs: 61_000 },
};
const record = (state: 'succeeded' | 'failed', startedAt: number | null) =>
  blankRun({
    ...{ id: 'default~j~o~1', group: 'default', name: 'j', state },
    ...{ startedAt, endedAt: startedAt === null ? null : startedAt + 2_000 },
  });

describe('metrics', () => {
  const made = (kind: 'agent' | 'server' | 'up', skew: number | null = 12) =>
    processMetrics({ kind, version: '1.2.3', skewMs: () => skew });

  it('of an agent tell what became of its runs and what it is like when asked', async () => {
    const metrics = made('agent');
    metrics.watchAgent(() => figures);
    const events: Event[] = [
      { type: 'run.claimed', run: 'r', fence: '1' },
      { type: 'run.started', run: 'r', at: 0, lateMs: 30 },
      { type: 'run.ended', run: 'r', record: record('failed', 1_000) },
      { type: 'run.ended', run: 'r', record: record('succeeded', null) },
      { type: 'keeper.closed', run: 'r', owner: 'w2' },
      { type: 'job.decided', job: 'default/j', instant: 0, why: 'skipped' },
      { type: 'ledger.away', error: null, retryInMs: 1 },
      { type: 'disk.full', path: '/x', error: null },
      { type: 'agent.fault', worker: 'w', where: 'tell', error: null },
    ];
    for (const event of events) metrics.see(event);
    const text = await metrics.text();
    for (const line of [
      'cronfleet_info{kind="agent",version="1.2.3"} 1',
      'cronfleet_clock_skew_seconds 0.012',
      'cronfleet_claims_total 1',
      'cronfleet_run_late_seconds_bucket{le="0.05"} 1',
      'cronfleet_run_seconds_count 1',
      'cronfleet_runs_ended_total{state="failed"} 1',
      'cronfleet_runs_ended_total{state="lost"} 1',
      'cronfleet_runs_ended_total{state="missed"} 0',
      'cronfleet_decided_total{why="skipped"} 1',
      'cronfleet_history_away 1',
      'cronfleet_trouble_total{event="disk.full"} 1',
      'cronfleet_trouble_total{event="spool.full"} 0',
      'cronfleet_faults_total{where="tell"} 1',
      'cronfleet_runs_living 3',
      'cronfleet_capacity_runs 7',
      'cronfleet_mirror_jobs 12',
      'cronfleet_mirror_revision 345',
      'cronfleet_may_claim 1',
      'cronfleet_lease_seconds 8.5',
      'cronfleet_draining 0',
      'cronfleet_spool_bytes 1000',
      'cronfleet_spool_limit_bytes 4000',
      'cronfleet_spool_records 2',
      'cronfleet_spool_pieces 5',
      'cronfleet_history_lag_seconds 61',
    ])
      assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
    assert.doesNotMatch(text, /watchdog|cronfleet_http/);
  });

  it('of a server tell what its watchdog saw and how alerts got out; one machine has both', async () => {
    const metrics = made('server', null);
    const events: Event[] = [
      {
        ...{ type: 'watchdog.looked', at: 5_000, jobs: 4, newest: '99', live: 2, overdue: 3, dead: 1 },
        unreadable: 6,
      },
      { type: 'alert.raised', id: 'a', title: 't' },
      { type: 'alert.told', channel: 'ops', ids: ['a'] },
      { type: 'alert.untold', channel: 'ops', ids: ['a'], problem: 'no' },
    ];
    for (const event of events) metrics.see(event);
    const text = await metrics.text();
    for (const line of [
      'cronfleet_clock_skew_seconds Nan',
      'cronfleet_watchdog_last_look_timestamp_seconds 5',
      'cronfleet_watchdog_jobs 4',
      'cronfleet_watchdog_newest_job_revision 99',
      'cronfleet_watchdog_live_workers 2',
      'cronfleet_watchdog_overdue 3',
      'cronfleet_watchdog_dead_workers 1',
      'cronfleet_watchdog_unreadable_jobs 6',
      'cronfleet_alerts_raised_total 1',
      'cronfleet_alert_deliveries_total{channel="ops",outcome="told"} 1',
      'cronfleet_alert_deliveries_total{channel="ops",outcome="refused"} 1',
    ])
      assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
    assert.doesNotMatch(text, /cronfleet_run/);
    const both = await made('up').text();
    assert.match(both, /^# TYPE cronfleet_watchdog_overdue gauge$/m);
    assert.match(both, /^# TYPE cronfleet_runs_ended_total counter$/m);
  });

  it('of the stores tell how long each call took, and by which code it failed', async () => {
    const clock = new VirtualClock();
    const metrics = made('server');
    const told: Parameters<SeeCall>[0][] = [];
    const meter = {
      clock,
      see(call: Parameters<SeeCall>[0]) {
        told.push(call);
        metrics.seeCall(call);
      },
    };
    const api = await makeApp({ clock });
    const failing = { saveRuns: () => Promise.reject(new HistoryError('unavailable', 'gone')) };
    const kept = meteredKv(memoryKv({ clock }), meter);
    const metered = meteredHistory(Object.assign(Object.create(api.history), failing), meter);
    await kept.txn({ compare: [], then: [{ type: 'put', key: 'a', value: '1' }] });
    assert.equal((await kept.range({ key: 'a' })).entries[0]?.value, '1');
    await assert.rejects(
      kept.txn({
        compare: [],
        then: [
          { type: 'put', key: 'a', value: '1' },
          { type: 'put', key: 'a', value: '2' },
        ],
      }),
      KvError,
    );
    assert.equal(await metered.now(), clock.now());
    await assert.rejects(metered.saveRuns([]), /gone/);
    assert.deepEqual(
      told.map(({ store, name, error }) => [store, name, error === null]),
      [
        ['kv', 'txn', true],
        ['kv', 'range', true],
        ['kv', 'txn', false],
        ['history', 'now', true],
        ['history', 'saveRuns', false],
      ],
    );
    const text = await metrics.text();
    assert.match(text, /^cronfleet_store_seconds_count\{store="kv",call="txn"\} 2$/m);
    assert.match(text, /^cronfleet_store_errors_total\{store="kv",call="txn",code="duplicate_key"\} 1$/m);
    assert.match(
      text,
      /^cronfleet_store_errors_total\{store="history",call="saveRuns",code="unavailable"\} 1$/m,
    );
    await kept.close();
    await api.close();
  });
});
