import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { createMiddleware } from 'hono/factory';
import * as v from 'valibot';
import { Refusal } from '#core/model/refusal.ts';
import { type Authenticator, authenticator } from './auth.ts';
import { bodyOf, queryOf } from './body.ts';
import { type AppDeps, type Env, hasRole } from './deps.ts';
import { docsPage } from './docs.ts';
import { healthOf } from './health.ts';
import { providerOfNow } from './oidc/provider.ts';
import { openapi } from './openapi.ts';
import { answerError, problem } from './problem.ts';
import { pathOf, type Route } from './route.ts';
import { applyRoute } from './routes/apply.ts';
import { channelRoutes } from './routes/channels.ts';
import { courseRoutes } from './routes/course.ts';
import { fleetRoutes } from './routes/fleet.ts';
import { jobActionRoutes } from './routes/job-actions.ts';
import { jobPastRoutes } from './routes/job-past.ts';
import { jobRoutes } from './routes/jobs.ts';
import { runRoutes } from './routes/runs.ts';
import { scheduleRoutes } from './routes/schedule.ts';
import { statsRoutes } from './routes/stats.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { whyRoute } from './routes/why.ts';
import { signIn, signInPath } from './sign-in.ts';
import { siteResponse } from './site.ts';

const bodyMax = 1_048_576;

/** On every answer: no script but our own, nothing from elsewhere, in no frame. */
const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** Every route that needs a token, in one list: what is not in it is not there. */
export function routesOf(forgetToken: (id: string) => void): Route[] {
  return [
    ...tokenRoutes(forgetToken),
    ...jobRoutes,
    ...jobActionRoutes,
    ...jobPastRoutes,
    applyRoute,
    ...runRoutes,
    ...fleetRoutes,
    ...scheduleRoutes,
    whyRoute,
    ...statsRoutes,
    ...channelRoutes,
    ...courseRoutes,
  ];
}

/** What is open to everybody, besides the site's files. */
const openPaths = [
  ...['/api/v1/health', '/openapi.json', '/docs', signInPath].map((path) => ({ method: 'GET', path })),
  ...[
    { method: 'POST', path: signInPath },
    { method: 'DELETE', path: signInPath },
    { method: 'POST', path: `${signInPath}/renew` },
  ],
];

/**
 * The HTTP API, for whichever host serves it. Closed by default: open are only health, openapi.json, docs, signing in and the site's
 * files.
 */
export function createApp(deps: AppDeps) {
  const app = new Hono<Env>();
  const { oidc = async () => null, clock, events, fetch: ask } = deps;
  const provider = ask === undefined ? async () => null : providerOfNow(oidc, { clock, events, fetch: ask });
  const authentic = authenticator(deps, provider);
  const people = signIn(deps, provider, { clock, fetch: ask ?? globalThis.fetch });
  const routes = routesOf(authentic.forget);
  const methods = methodsOf(routes);
  let document: Record<string, unknown> | null = null;

  app.onError((error, c) =>
    answerError(c, error, (fault) =>
      deps.events.emit({
        type: 'http.fault',
        method: c.req.method,
        path: c.req.path,
        requestId: c.get('requestId'),
        error: fault,
      }),
    ),
  );
  app.use(told(deps), ourHost(deps));
  app.get('/api/v1/health', healthOf(deps, authentic));
  app.get('/openapi.json', (c) => {
    document ??= openapi(routes, deps.version);
    return c.json(document);
  });
  app.get('/docs', (c) => c.html(docsPage(routes)));
  app.get(signInPath, people.ways);
  app.post(signInPath, limited, people.byCode);
  app.post(`${signInPath}/renew`, limited, people.renew);
  app.delete(signInPath, people.out);
  for (const one of routes)
    app.on(one.method, pathOf(one), allowed(one, authentic), limited, async (c) => {
      c.header('cache-control', 'no-store');
      const query = queryOf(c, one.query ?? nothing);
      const body = one.body === null ? undefined : await bodyOf(c, one.body);
      const stillAllowed = () => allowedCaller(c, one, authentic);
      return one.handle({ c, deps, caller: c.get('caller'), stillAllowed, query, body });
    });
  app.notFound((c) => {
    const { path, method } = c.req;
    const allow = methods(path);
    if (allow !== null) {
      c.header('allow', allow.join(', '));
      const message = `${method} is not for ${path}; expected ${allow.join(' or ')}`;
      return problem(c, new Refusal('method_not_allowed', message));
    }
    const file = method === 'GET' || method === 'HEAD' ? deps.site?.(path) : null;
    return file
      ? siteResponse(c, file)
      : problem(c, new Refusal('route_not_found', `${path}: there is nothing here`));
  });
  return app;
}
export type App = ReturnType<typeof createApp>;

const nothing = v.strictObject({});

/** Names each request, tells of it when it has been answered, and sets the headers that every answer has. */
function told({ clock, ids, events }: AppDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const began = clock.boot();
    const requestId = ids.id();
    c.set('requestId', requestId);
    await next();
    for (const [name, value] of Object.entries(securityHeaders)) c.res.headers.set(name, value);
    c.res.headers.set('x-request-id', requestId);
    const { method, path } = c.req;
    const who = (c.var as Partial<Env['Variables']>).caller?.name ?? null;
    const { status } = c.res;
    events.emit({ type: 'http.request', method, path, status, ms: clock.boot() - began, requestId, who });
  };
}

/** Refuses what was meant for another host: a page elsewhere may have its own name point here (DNS rebinding). */
function ourHost({ allowedHosts }: AppDeps): MiddlewareHandler<Env> {
  return createMiddleware(async (c, next) => {
    const hosts = allowedHosts?.();
    const host = c.req.header('host') ?? new URL(c.req.url).host;
    if (hosts !== undefined && !hosts.includes(host.toLowerCase()))
      throw new Refusal(
        'host_refused',
        `Host: ${JSON.stringify(host)} is not served here; expected ${hosts.join(' or ')}`,
      );
    await next();
  });
}

/** Who asks, and whether the route is for them: before anything of the body is read. */
function allowed(route: Route, authentic: Authenticator): MiddlewareHandler<Env> {
  return async (c, next) => {
    await allowedCaller(c, route, authentic);
    await next();
  };
}

/** Refusals `unauthorized`, `forbidden`. */
async function allowedCaller(c: Context<Env>, { role }: Route, authentic: Authenticator): Promise<void> {
  const caller = await authentic.caller(c.req.header('authorization'));
  c.set('caller', caller);
  if (!hasRole(caller, role))
    throw new Refusal('forbidden', `this needs the role ${role}; the token has ${caller.role}`);
}

const limited = bodyLimit({
  maxSize: bodyMax,
  onError() {
    throw new Refusal('body_too_large', `body: is larger than ${bodyMax} bytes; expected at most that`);
  },
});

/** Which methods a path has, for 405; null: there is no such path. */
function methodsOf(routes: readonly Route[]): (path: string) => string[] | null {
  const known = [...openPaths, ...routes.map((one) => ({ method: one.method, path: pathOf(one) }))].map(
    ({ method, path }) => ({
      method,
      pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/:\w+/g, '[^/]+')}$`),
    }),
  );
  return (path) => {
    const found = known.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    if (found.length === 0) return null;
    return found.includes('GET') ? [...found, 'HEAD'] : found;
  };
}
