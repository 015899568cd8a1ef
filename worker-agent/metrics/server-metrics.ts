import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Event } from '#core/ports/events.ts';

/** What a server is asked, what its watchdog saw last, and how alerts got out. */
export function serverMetrics(registry: Registry): { see(event: Event): void; watch?: never } {
  const registers = [registry];
  const http = new Histogram({
    ...{ name: 'cronfleet_http_seconds', help: 'HTTP requests', labelNames: ['method', 'status'], registers },
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
  });
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `cronfleet_watchdog_${name}`, help, registers });
  const looked = gauge('last_look_timestamp_seconds', 'When the watchdog last saw the whole fleet; 0: never');
  const jobs = gauge('jobs', 'Jobs at the last look');
  const newest = gauge('newest_job_revision', 'Newest revision of any job at the last look');
  const live = gauge('live_workers', 'Workers that take runs, at the last look');
  const dead = gauge('dead_workers', 'Workers that are gone and hold runs, at the last look');
  const overdue = gauge('overdue', 'Schedules whose instants nobody has decided, at the last look');
  const unreadable = gauge('unreadable_jobs', 'Keys of jobs that nobody can read, at the last look');
  const raised = new Counter({
    ...{ name: 'cronfleet_alerts_raised_total', help: 'Alerts that the watchdog raised', registers },
  });
  const deliveries = new Counter({
    ...{ name: 'cronfleet_alert_deliveries_total', help: 'Messages to channels, by outcome' },
    ...{ labelNames: ['channel', 'outcome'], registers },
  });
  return {
    see(event) {
      if (event.type === 'http.request')
        http.observe({ method: event.method, status: event.status }, event.ms / 1_000);
      else if (event.type === 'watchdog.looked') {
        looked.set(event.at / 1_000);
        jobs.set(event.jobs);
        newest.set(Number(event.newest));
        live.set(event.live);
        dead.set(event.dead);
        overdue.set(event.overdue);
        unreadable.set(event.unreadable);
      } else if (event.type === 'alert.raised') raised.inc();
      else if (event.type === 'alert.told') deliveries.inc({ channel: event.channel, outcome: 'told' });
      else if (event.type === 'alert.untold') deliveries.inc({ channel: event.channel, outcome: 'refused' });
    },
  };
}
