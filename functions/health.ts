import type { Context } from 'hono';
import { prefixRange } from '#core/ports/kv.ts';
import type { Authenticator } from './auth.ts';
import type { AppDeps, Env } from './deps.ts';

/** Whether the stores answer; which of them, and the version, is told only to who has a token. */
export async function health(
  c: Context<Env>,
  { kv, history, layout, version }: AppDeps,
  authentic: Authenticator,
): Promise<Response> {
  const stateOf = (work: Promise<unknown>) =>
    work.then(
      () => 'ok',
      () => 'away',
    );
  const [kvState, historyState, known] = await Promise.all([
    stateOf(kv.range(prefixRange(layout.drains), { countOnly: true })),
    stateOf(history.now()),
    // Whoever has no token, or can't be looked up at the moment, is told the less.
    authentic.caller(c.req.header('authorization')).catch(() => null),
  ]);
  const well = kvState === 'ok' && historyState === 'ok';
  const status = well ? 'ok' : 'degraded';
  const full = { status, version, stores: { kv: kvState, history: historyState } };
  return c.json(known === null ? { status } : full, well ? 200 : 503, { 'cache-control': 'no-store' });
}
