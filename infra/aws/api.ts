import { functionArgs, type Place } from './function.ts';

/** The API: one function behind API Gateway, which gives a request 30 s. */
export function makeApi(place: Place) {
  const handler = new sst.aws.Function('Api', {
    ...functionArgs(place, 'lambda.handler'),
    memory: '1024 MB',
    timeout: '29 seconds',
  });
  const gateway = new sst.aws.ApiGatewayV2('Gateway', {
    // The site has the same host; who else calls is no browser's page.
    cors: false,
    accessLog: { retention: place.options.isProduction ? '6 months' : '1 month' },
    transform: {
      stage: {
        defaultRouteSettings: usual,
        routeSettings: [
          { routeKey: logRoute, ...polls },
          ...signInRoutes.map((routeKey) => ({ routeKey, ...signIns })),
        ],
      },
    },
  });
  for (const route of ['$default', logRoute, ...signInRoutes]) gateway.route(route, handler.arn);
  return { handler, gateway };
}
export type Api = ReturnType<typeof makeApi>;

const logRoute = 'GET /api/v1/runs/{run}/log';
const signInRoutes = ['POST /api/v1/sign-in', 'POST /api/v1/sign-in/renew'];

/** A second, and what may come at once. */
const usual = { throttlingRateLimit: 200, throttlingBurstLimit: 400 };

/** Who waits for a log occupies a function for half a minute: so many a second, or they crowd out everybody else. */
const polls = { throttlingRateLimit: 20, throttlingBurstLimit: 40 };

/** Open to anybody, and each asks the provider: so many a second, and the rest of the API goes on. */
const signIns = { throttlingRateLimit: 20, throttlingBurstLimit: 60 };
