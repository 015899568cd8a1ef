import { functionArgs, type Place } from './function.ts';

/** The second pair of eyes, once a minute. A look that failed is not repeated: the next one comes anyway. */
export function makeWatchdog(place: Place) {
  const handler = new sst.aws.Function('Watchdog', {
    ...functionArgs(place, 'watchdog.handler'),
    memory: '512 MB',
    timeout: '50 seconds',
    retries: 0,
  });
  new sst.aws.CronV2('WatchdogSchedule', { schedule: 'rate(1 minute)', function: handler.arn, retries: 0 });
  return handler;
}
