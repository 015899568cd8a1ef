import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { isTerminal, runStates } from '#core/model/run.ts';
import type { Event } from '#core/ports/events.ts';
import type { AgentFigures } from '../figures.ts';

/** Each figure as a metric. */
const gauges: readonly [name: string, help: string, of: (figures: AgentFigures) => number][] = [
  ['runs_living', 'Runs that are armed or live', ({ living }) => living],
  ['capacity_runs', 'Runs that it takes at once', ({ capacity }) => capacity],
  ['mirror_jobs', 'Jobs that it knows', ({ jobs }) => jobs],
  ['mirror_revision', 'Newest revision of the store that it has applied', ({ revision }) => Number(revision)],
  ['may_claim', '1 while it may claim', ({ mayClaim }) => Number(mayClaim)],
  ['lease_seconds', 'What is left of its lease', ({ leaseLeftMs }) => (leaseLeftMs ?? 0) / 1_000],
  ['draining', '1 while it is to take nothing new', ({ draining }) => Number(draining)],
  ['spool_bytes', 'What waits for History, on the disk and in memory', ({ spool }) => spool.bytes],
  ['spool_limit_bytes', 'How much may wait', ({ spool }) => spool.limitBytes],
  ['spool_records', 'Records that wait for History', ({ spool }) => spool.records],
  ['spool_pieces', 'Pieces of output that wait for History', ({ spool }) => spool.pieces],
  ['history_lag_seconds', 'For how long History has taken nothing of it', ({ spool }) => spool.lagMs / 1_000],
];

/** What became of an agent's runs, and what it is like. */
export function agentMetrics(registry: Registry): {
  see(event: Event): void;
  watch(figures: () => AgentFigures): void;
} {
  const registers = [registry];
  const claims = new Counter({
    ...{ name: 'cronfleet_claims_total', help: 'Runs that this worker claimed', registers },
  });
  const refused = new Counter({
    ...{ name: 'cronfleet_runs_refused_total', help: 'Runs that could not be started, by code' },
    ...{ labelNames: ['code'], registers },
  });
  const ended = new Counter({
    ...{
      name: 'cronfleet_runs_ended_total',
      help: 'Runs that ended here, and those closed for dead workers',
    },
    ...{ labelNames: ['state'], registers },
  });
  // From 0 on, so that the first lost run shows as an increase.
  for (const state of runStates.filter(isTerminal)) ended.inc({ state }, 0);
  const decided = new Counter({
    ...{ name: 'cronfleet_decided_total', help: 'Cursors moved without a run, by reason' },
    ...{ labelNames: ['why'], registers },
  });
  const late = new Histogram({
    ...{ name: 'cronfleet_run_late_seconds', help: 'Start after the instant', registers },
    buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60],
  });
  const took = new Histogram({
    ...{ name: 'cronfleet_run_seconds', help: 'From start to end', registers },
    buckets: [0.1, 1, 5, 15, 60, 300, 900, 3_600, 14_400],
  });
  const away = new Gauge({
    ...{ name: 'cronfleet_history_away', help: '1 while History does not answer', registers },
  });
  return {
    see(event) {
      if (event.type === 'run.claimed') claims.inc();
      else if (event.type === 'run.refused') refused.inc({ code: event.code });
      else if (event.type === 'run.started' && event.lateMs !== null)
        late.observe(Math.max(0, event.lateMs) / 1_000);
      else if (event.type === 'run.ended') {
        const { state, startedAt, endedAt } = event.record;
        ended.inc({ state });
        if (startedAt !== null && endedAt !== null) took.observe(Math.max(0, endedAt - startedAt) / 1_000);
      } else if (event.type === 'keeper.closed') ended.inc({ state: 'lost' });
      else if (event.type === 'job.decided')
        decided.inc({ why: /^[a-z_]+$/.test(event.why) ? event.why : 'other' });
      else if (event.type === 'ledger.away') away.set(1);
      else if (event.type === 'ledger.back') away.set(0);
    },
    watch(figures) {
      for (const [name, help, of] of gauges)
        new Gauge({
          ...{ name: `cronfleet_${name}`, help, registers },
          collect() {
            this.set(of(figures()));
          },
        });
    },
  };
}
