import { layout as layoutOf } from '#core/cluster/keys.ts';
import type { Role } from '#core/cluster/records.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { sqliteHistory } from '#core/stores/history/sqlite/sqlite-history.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { createApp } from '#functions/app.ts';
import { createToken } from '#functions/auth.ts';

/** The application over a store in memory, and how to ask it something. */
export async function makeApp() {
  const clock = systemClock();
  const ids = systemIds();
  const kv = memoryKv({ clock });
  const history = sqliteHistory({ file: ':memory:', clock });
  const layout = layoutOf();
  const deps = { kv, history, layout, clock, ids, events: eventBus(), version: '0' };
  const app = createApp(deps);
  const tokens = new Map<string, string>();

  async function tokenOf(role: Role, groups: string[] | null = null): Promise<string> {
    const key = `${role} ${groups}`;
    const known = tokens.get(key) ?? (await createToken(deps, { name: role, role, groups, by: 'test' })).text;
    tokens.set(key, known);
    return known;
  }

  async function ask(
    method: string,
    path: string,
    how: { as?: Role | null; groups?: string[]; body?: unknown; headers?: Record<string, string> } = {},
  ) {
    const { as = 'admin', groups = null, body, headers = {} } = how;
    const auth: Record<string, string> =
      as === null ? {} : { authorization: `Bearer ${await tokenOf(as, groups)}` };
    const sent = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) };
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await app.request(path, { method, headers: { ...type, ...auth, ...headers }, ...sent });
    const text = await response.text();
    // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
    const json: any = /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : null;
    return { status: response.status, headers: response.headers, text, json };
  }

  return {
    ...deps,
    app,
    ask,
    async close() {
      await history.close();
      await kv.close();
    },
  };
}
