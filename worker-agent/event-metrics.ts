import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Event } from '#core/ports/events.ts';

/** Prometheus metrics of one process, kept by its events. `living`: its runs; null: it has none. */
export function eventMetrics(living: (() => number) | null): {
  see(event: Event): void;
  text(): Promise<string>;
} {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'cronfleet_' });
  const registers = [registry];
  const ended = new Counter({
    name: 'cronfleet_runs_ended_total',
    help: 'Runs that ended, by state',
    labelNames: ['state'],
    registers,
  });
  const late = new Histogram({
    ...{ name: 'cronfleet_run_late_seconds', help: 'Start after the instant', registers },
    buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60],
  });
  const http = new Histogram({
    ...{ name: 'cronfleet_http_seconds', help: 'HTTP requests', labelNames: ['method', 'status'], registers },
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
  });
  const away = new Gauge({
    name: 'cronfleet_history_away',
    help: '1 while History does not answer',
    registers,
  });
  const faults = new Counter({
    name: 'cronfleet_faults_total',
    help: 'Faults',
    labelNames: ['where'],
    registers,
  });
  if (living !== null)
    new Gauge({
      ...{ name: 'cronfleet_runs_living', help: 'Runs that live', registers },
      collect() {
        this.set(living());
      },
    });
  return {
    see(event) {
      if (event.type === 'run.ended') ended.inc({ state: event.record.state });
      else if (event.type === 'run.started' && event.lateMs !== null)
        late.observe(Math.max(0, event.lateMs) / 1_000);
      else if (event.type === 'http.request')
        http.observe({ method: event.method, status: event.status }, event.ms / 1_000);
      else if (event.type === 'ledger.away') away.set(1);
      else if (event.type === 'ledger.back') away.set(0);
      else if (event.type === 'agent.fault') faults.inc({ where: event.where });
      else if (event.type === 'server.fault') faults.inc({ where: event.where });
      else if (event.type === 'http.fault') faults.inc({ where: 'http' });
    },
    text: () => registry.metrics(),
  };
}
