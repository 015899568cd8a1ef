import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Event } from '#core/ports/events.ts';
import type { SeeCall } from '#core/stores/metered.ts';
import type { AgentFigures } from '../figures.ts';
import { agentMetrics } from './agent-metrics.ts';
import { serverMetrics } from './server-metrics.ts';
import { storeMetrics } from './store-metrics.ts';

/** What no process should have to say often; counted by the event's own name, from 0 on, so that each increase shows. */
const troubles = [
  ...(['agent.lease_lost', 'clock.off', 'key.invalid', 'tzdata.apart'] as const),
  ...(['spool.full', 'spool.damaged', 'spool.refused', 'disk.full'] as const),
] satisfies Event['type'][];

export interface ProcessMetrics {
  see(event: Event): void;
  seeCall: SeeCall;
  /** Of a process that is an agent too: what it is like, asked at each scrape. */
  watchAgent(figures: () => AgentFigures): void;
  text(): Promise<string>;
}

/** Prometheus metrics of one process, kept by its events and its calls to the stores. */
export function processMetrics({
  kind,
  version,
  skewMs,
}: {
  kind: 'agent' | 'server' | 'up';
  version: string;
  /** null: not known. */
  skewMs: () => number | null;
}): ProcessMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'cronfleet_' });
  const registers = [registry];
  new Gauge({
    ...{ name: 'cronfleet_info', help: 'What this process is; always 1', labelNames: ['kind', 'version'] },
    registers,
  }).set({ kind, version }, 1);
  new Gauge({
    ...{ name: 'cronfleet_clock_skew_seconds', help: 'Clock ahead of reference time', registers },
    collect() {
      const ms = skewMs();
      if (ms === null) this.set(Number.NaN);
      else this.set(ms / 1_000);
    },
  });
  const faults = new Counter({
    ...{ name: 'cronfleet_faults_total', help: 'Faults by place', labelNames: ['where'], registers },
  });
  const trouble = new Counter({
    ...{ name: 'cronfleet_trouble_total', help: 'Events of trouble', labelNames: ['event'], registers },
  });
  for (const event of troubles) trouble.inc({ event }, 0);
  const seers = [
    ...(kind === 'server' ? [] : [agentMetrics(registry)]),
    ...(kind === 'agent' ? [] : [serverMetrics(registry)]),
  ];
  const isTrouble = (type: Event['type']) => (troubles as readonly string[]).includes(type);
  return {
    see(event) {
      for (const { see } of seers) see(event);
      if (isTrouble(event.type)) trouble.inc({ event: event.type });
      if (event.type === 'agent.fault' || event.type === 'server.fault') faults.inc({ where: event.where });
      if (event.type === 'http.fault') faults.inc({ where: 'http' });
    },
    seeCall: storeMetrics(registry),
    watchAgent: (figures) => seers[0]?.watch?.(figures),
    text: () => registry.metrics(),
  };
}
