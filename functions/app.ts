import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { Refusal } from '#core/model/refusal.ts';
import { prefixRange } from '#core/ports/kv.ts';
import { authenticator } from './auth.ts';
import { type AppDeps, type Env, hasRole } from './deps.ts';
import { docsPage } from './docs.ts';
import { openapi } from './openapi.ts';
import { answerError, problem } from './problem.ts';
import { bodyOf, queryOf, type Route } from './route.ts';
import { adminRoutes } from './routes/admin.ts';
import { applyRoute } from './routes/apply.ts';
import { courseRoutes } from './routes/course.ts';
import { jobRoutes } from './routes/jobs.ts';
import { runRoutes } from './routes/runs.ts';
import { scheduleRoutes } from './routes/schedule.ts';

const bodyMax = 1_048_576;

/** No script but our own, nothing from elsewhere, in no frame. */
const siteHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
};

/** Every route that needs a token, in one list: what is not in it is not there. */
export function routesOf(forgetToken: (id: string) => void): Route[] {
  return [
    ...adminRoutes(forgetToken),
    ...jobRoutes,
    ...runRoutes,
    ...scheduleRoutes,
    applyRoute,
    ...courseRoutes,
  ];
}

/** The HTTP API, for whichever host serves it. Closed by default: open are only health, openapi.json, docs and the site's files. */
export function createApp(deps: AppDeps) {
  const app = new Hono<Env>();
  const authentic = authenticator(deps);
  const routes = routesOf(authentic.forget);
  const document = openapi(routes, deps.version);

  app.use(async (c, next) => {
    const began = deps.clock.boot();
    c.set('requestId', deps.ids.id());
    const hosts = deps.allowedHosts?.();
    if (hosts !== undefined && !hosts.includes(c.req.header('host') ?? ''))
      c.res = problem(
        c,
        new Refusal(
          'host_refused',
          `Host: ${JSON.stringify(c.req.header('host') ?? '')} is not served here; expected ${hosts.join(' or ')}`,
        ),
      );
    else await next();
    for (const [name, value] of Object.entries(siteHeaders)) c.res.headers.set(name, value);
    c.res.headers.set('x-request-id', c.get('requestId'));
    const who = (c.get('caller') as Env['Variables']['caller'] | undefined)?.name ?? null;
    const { method, path } = c.req;
    deps.events.emit({
      type: 'http.request',
      method,
      path,
      status: c.res.status,
      ms: deps.clock.boot() - began,
      requestId: c.get('requestId'),
      who,
    });
  });
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
  const tooLarge = () => {
    throw new Refusal('body_too_large', `body: is larger than ${bodyMax} bytes; expected at most that`);
  };
  app.use(bodyLimit({ maxSize: bodyMax, onError: tooLarge }));

  app.get('/api/v1/health', async (c) => {
    const alive = async (work: Promise<unknown>) =>
      work.then(
        () => 'ok',
        () => 'away',
      );
    const kv = await alive(deps.kv.range({ ...prefixRange(deps.layout.drains) }, { countOnly: true }));
    const history = await alive(deps.history.now());
    const status = kv === 'ok' && history === 'ok' ? 'ok' : 'degraded';
    const known = await authentic.caller(c.req.header('authorization')).catch(() => null);
    const full = { status, version: deps.version, stores: { kv, history } };
    return c.json(known === null ? { status } : full, status === 'ok' ? 200 : 503, {
      'cache-control': 'no-store',
    });
  });
  app.get('/openapi.json', (c) => c.json(document));
  app.get('/docs', (c) => c.html(docsPage(routes)));

  for (const one of routes)
    app.on(one.method, `${one.root ? '' : '/api/v1'}${one.path}`, async (c) => {
      const caller = await authentic.caller(c.req.header('authorization'));
      c.set('caller', caller);
      if (!hasRole(caller, one.role))
        throw new Refusal('forbidden', `this needs the role ${one.role}; the token has ${caller.role}`);
      c.header('cache-control', 'no-store');
      const query = queryOf(c, one.query);
      const body = one.body === null ? undefined : await bodyOf(c, one.body);
      return one.handle({ c, deps, caller, query, body });
    });
  app.get('/metrics', async (c) => {
    await authentic.caller(c.req.header('authorization'));
    return c.body((await deps.metrics?.()) ?? '', 200, {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    });
  });

  app.notFound((c) => {
    const { path, method } = c.req;
    const allow = methodsOf(routes, path);
    if (allow.length > 0) {
      c.header('allow', allow.join(', '));
      return problem(
        c,
        new Refusal('method_not_allowed', `${method} is not for ${path}; expected ${allow.join(' or ')}`),
      );
    }
    const file = method === 'GET' || method === 'HEAD' ? deps.site?.(path) : null;
    if (!file) return problem(c, new Refusal('route_not_found', `${path}: there is nothing here`));
    if (c.req.header('if-none-match') === file.etag) return c.body(null, 304, { etag: file.etag });
    return c.body(file.body, 200, {
      'content-type': file.type,
      'cache-control': file.cacheControl,
      etag: file.etag,
    });
  });
  return app;
}
export type App = ReturnType<typeof createApp>;

/** Which methods a path has, for 405. */
function methodsOf(routes: readonly Route[], path: string): string[] {
  return routes
    .filter((one) =>
      new RegExp(`^${one.root ? '' : '/api/v1'}${one.path.replace(/:\w+/g, '[^/]+')}$`).test(path),
    )
    .map(({ method }) => method);
}
