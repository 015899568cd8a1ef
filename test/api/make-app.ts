import assert from 'node:assert/strict';
import * as v from 'valibot';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import type { Role } from '#core/cluster/records.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import type { Clock } from '#core/ports/clock.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Event } from '#core/ports/events.ts';
import type { Kv } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { sqliteHistory } from '#core/stores/history/sqlite/sqlite-history.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { createApp, routesOf } from '#functions/app.ts';
import { createToken } from '#functions/auth.ts';
import type { AppDeps } from '#functions/deps.ts';
import { pathOf, problemStatuses, type Route } from '#functions/route.ts';
import { transport } from './transport.ts';

const known = routesOf(() => {}).map((route) => ({
  route,
  pattern: new RegExp(`^${pathOf(route).replaceAll('.', '\\.').replace(/:\w+/g, '[^/]+')}$`),
}));

/** Holds an answer to what the route's schemas and the OpenAPI document say of it. */
function checkAnswer(route: Route, status: number, type: string, json: unknown): void {
  const name = `${route.method} ${route.path}`;
  if (status >= 300) {
    assert.ok(problemStatuses(route).includes(status), `${name}: ${status} is not documented`);
    assert.equal(type, 'application/problem+json', name);
    return;
  }
  assert.ok((route.statuses ?? [200]).includes(status), `${name}: ${status} is not documented`);
  if (route.answer === null || !type.includes('json')) return;
  const read = v.safeParse(route.answer, json);
  const issues = read.issues?.map((issue) => `${v.getDotPath(issue)}: ${issue.message}`);
  assert.ok(read.success, `${name}: ${issues}`);
}

export interface How {
  as?: Role | null;
  groups?: string[];
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The application over stores in memory, and how to ask it something. */
export async function makeApp(given: Partial<AppDeps> & { clock?: Clock; around?: (kv: Kv) => Kv } = {}) {
  const { around = (kv: Kv) => kv, ...others } = given;
  const clock = given.clock ?? systemClock();
  const ids = systemIds();
  const stores = await transport().stores?.();
  const { kv, history } = stores ?? {
    kv: memoryKv({ clock }),
    history: sqliteHistory({ file: ':memory:', clock }),
  };
  const layout = layoutOf();
  const events = eventBus();
  const told: Event[] = [];
  events.on((event) => told.push(event));
  const own = { kv, history, layout, clock, ids, events, version: '0' };
  const app = createApp({ ...own, ...transport().deps, kv: around(kv), ...others });
  const tokens = new Map<string, string>();

  async function tokenOf(role: Role, groups: string[] | null = null): Promise<string> {
    const key = `${role} ${groups}`;
    const text = tokens.get(key) ?? (await createToken(own, { name: role, role, groups, by: 'test' })).text;
    tokens.set(key, text);
    return text;
  }

  async function request(method: string, path: string, how: How = {}): Promise<Response> {
    const { as = 'admin', groups = null, body, headers = {}, signal } = how;
    const auth: Record<string, string> =
      as === null ? {} : { authorization: `Bearer ${await tokenOf(as, groups)}` };
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const sent = body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) };
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
    return transport().send(app, path, {
      ...{ method, headers: { ...type, ...auth, ...headers }, ...sent },
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async function ask(method: string, path: string, how: How = {}) {
    const response = await request(method, path, how);
    const text = await response.text();
    const type = response.headers.get('content-type') ?? '';
    // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
    const json: any = /json/.test(type) && text !== '' ? JSON.parse(text) : null;
    const found = known.find(
      ({ route, pattern }) => route.method === method && pattern.test(path.split('?')[0] ?? ''),
    );
    if (found !== undefined && response.status !== 405) checkAnswer(found.route, response.status, type, json);
    return { status: response.status, headers: response.headers, text, json };
  }

  return {
    ...own,
    app,
    ask,
    request,
    tokenOf,
    told,
    /** Puts a run into History, with whatever is known of it. */
    async ran(run: Partial<Run> & Pick<Run, 'id'>): Promise<Run> {
      const [group = '', name = ''] = run.id.split('~');
      const whole = blankRun({ group, name, state: 'succeeded', ...run });
      await history.saveRuns([whole]);
      return whole;
    },
    /** Puts output of a run into History, from `offset` on. */
    async said(run: string, seq: number, data: string | Uint8Array, offset: number): Promise<void> {
      const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
      const at = clock.now();
      await history.saveLogs([{ run, seq, offset, data: bytes, at, expireAt: at + 86_400_000 }]);
    },
    /** Puts a worker's registration into the store. */
    async registered(id: string, more: Record<string, unknown> = {}): Promise<void> {
      const value = {
        ...{
          id,
          host: id,
          addresses: ['10.0.0.1'],
          labels: {},
          version: '0',
          state: 'live',
          since: clock.now(),
        },
        ...{ capacity: 10, tzdata: '2026a', switchesUser: false, clockSkewMs: 0, ...more },
      };
      const put = { type: 'put' as const, key: layout.worker(id), value: JSON.stringify(value) };
      await kv.txn({ compare: [], then: [put] });
    },
    /** Puts the key of a living run. */
    async holds(run: string, more: Record<string, unknown> = {}): Promise<void> {
      const [group, name, , attempt, worker = '~'] = run.split('~');
      const value = {
        ...{ worker: 'w1', incarnation: '1', state: 'claimed', instant: null, attempt: Number(attempt) },
        ...{ losses: 0, covers: null, notBefore: clock.now(), at: clock.now(), trigger: 'manual' },
        ...{ order: null, by: null, env: {}, ...more },
      };
      const key = layout.run(`${group}/${name}`, worker, run);
      await kv.txn({ compare: [], then: [{ type: 'put', key, value: JSON.stringify(value) }] });
    },
    async close() {
      if (stores !== undefined) return;
      await history.close();
      await kv.close();
    },
  };
}
export type Api = Awaited<ReturnType<typeof makeApp>>;
