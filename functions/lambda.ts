import { pino } from 'pino';
import { logEvent } from '#agent/event-log.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { createApp } from './app.ts';
import { clockSkew } from './cloud/clock-skew.ts';
import { gatewayHandler, type LambdaContext, type LambdaEvent, lambdaGateway } from './cloud/gateway.ts';
import { cloudStores } from './cloud/stores.ts';

// The API behind API Gateway. Nothing is under way between two requests: no watch, no lease, no timer.

const { CRONFLEET_SETTINGS = '/cronfleet', CRONFLEET_LOG_LEVEL = 'info' } = process.env;
// The bundler puts a text in its place, which it only finds written like this.
const version = process.env.CRONFLEET_VERSION ?? '0';
const clock = systemClock();
const ids = systemIds();
const events = eventBus();
const logger = pino({ level: CRONFLEET_LOG_LEVEL }, pino.destination({ dest: 1, sync: true }));
events.on((event) => logEvent(logger, event));

const { kv, history, layout, oidc, storeFindings } = cloudStores({
  ...{ path: CRONFLEET_SETTINGS, clock, ids, events },
});
const skew = clockSkew({ history, clock });
const app = createApp({
  ...{ kv, history, layout, clock, ids, events, version, fetch: globalThis.fetch },
  ...{ gateway: lambdaGateway, skewMs: skew.ms, oidc, storeFindings },
});
const answer = gatewayHandler(app);

export async function handler(event: LambdaEvent, context: LambdaContext): Promise<unknown> {
  // A write may set a floor, which needs a clock that is known to be right.
  if (isWrite(event)) await skew.measure();
  return await answer(event, context);
}

function isWrite({ headers, requestContext }: LambdaEvent): boolean {
  const method = requestContext && 'http' in requestContext ? requestContext.http.method : '';
  return method !== 'GET' && method !== 'HEAD' && headers?.authorization !== undefined;
}
