import { Counter, Histogram, type Registry } from 'prom-client';
import type { SeeCall } from '#core/stores/metered.ts';

/** What calls to the stores cost, and how they fail. */
export function storeMetrics(registry: Registry): SeeCall {
  const registers = [registry];
  const labelNames = ['store', 'call'] as const;
  const took = new Histogram({
    ...{ name: 'cronfleet_store_seconds', help: 'Calls to the stores', labelNames, registers },
    buckets: [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1, 5],
  });
  const errors = new Counter({
    ...{ name: 'cronfleet_store_errors_total', help: 'Calls to the stores that failed, by code' },
    ...{ labelNames: [...labelNames, 'code'], registers },
  });
  return ({ store, name: call, ms, error }) => {
    took.observe({ store, call }, ms / 1_000);
    if (error !== null) errors.inc({ store, call, code: codeOf(error) });
  };
}

/** Stores fail by codes of their own (KvError, HistoryError, Refusal); what has another kind of code, or none, is a fault. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'string' && /^[a-z_]+$/.test(code) ? code : 'fault';
}
