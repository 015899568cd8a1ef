import * as v from 'valibot';
import type { NamedChannel } from '#core/cluster/channels.ts';
import { decode } from '#core/cluster/records.ts';
import { quietUntil } from '#core/decide/alerts/quiet-hours.ts';
import type { Alert } from '#core/model/alert.ts';
import { KvError, type Op, type Revision } from '#core/ports/kv.ts';
import { type DeliverDeps, tell } from './deliver.ts';

/** Under alerts/history while it is away: which time of being away it is, and who has heard of it. */
const Away = v.object({
  id: v.optional(v.string(), ''),
  told: v.optional(v.array(v.string()), () => []),
});
type Away = v.InferOutput<typeof Away>;

/**
 * Tells that History, which holds the outbox, is away, and that it is back: each channel once, whatever becomes of the others, and none
 * in its quiet hours. A key in the store of jobs says who has heard, for all servers together; where that store is away too, each knows for itself.
 * Both answer whether there is nothing left to tell for now.
 */
export function historyAway(
  deps: Pick<DeliverDeps, 'kv' | 'layout' | 'clock' | 'events' | 'fetch'>,
  channels: () => readonly NamedChannel[],
) {
  const { kv, layout, clock } = deps;
  const key = layout.alert('history');
  /** What was told from here, as long as the store of jobs could not be asked. */
  let own: Away | null = null;

  async function read(): Promise<{ away: Away | null; mod: Revision }> {
    const [entry] = (await kv.range({ key })).entries;
    const found = entry === undefined ? null : decode(Away, entry);
    const kept = found?.ok ? found.value : null;
    const told = [...new Set([...(kept?.told ?? []), ...(own?.told ?? [])])];
    const away = kept === null && own === null ? null : { id: kept?.id || (own?.id ?? ''), told };
    return { away, mod: entry?.mod ?? '0' };
  }

  /** Whether it is written: nobody else has written since `mod`. Null takes it away. */
  async function write(away: Away | null, mod: Revision): Promise<Revision | null> {
    const op: Op =
      away === null ? { type: 'delete', key } : { type: 'put', key, value: JSON.stringify(away) };
    const { succeeded, revision } = await kv.txn({
      compare: [{ key, target: 'mod', op: '=', revision: mod }],
      then: [op],
    });
    return succeeded ? revision : null;
  }

  const isQuiet = ({ quiet }: NamedChannel) => quietUntil(quiet, clock.now()) !== null;

  /** The names of those that did not get it. */
  async function tellAll(to: readonly NamedChannel[], alert: Alert): Promise<string[]> {
    const results = await Promise.all(
      to.map(async (one) => [one.name, await tell(deps, one, [alert])] as const),
    );
    return results.flatMap(([name, problem]) => (problem === null ? [] : [name]));
  }

  return {
    async gone(alert: Alert): Promise<boolean> {
      const asked = channels().filter(({ on }) => on.includes('store_away'));
      const known = await read().catch((error: unknown) => {
        if (!(error instanceof KvError)) throw error;
        return null;
      });
      const { id, told } = known?.away ?? own ?? { id: alert.id, told: [] };
      const left = asked.filter(({ name }) => !told.includes(name));
      const now = left.filter((one) => !isQuiet(one));
      if (now.length > 0) {
        const names = [...told, ...now.map(({ name }) => name)];
        // Before they are told, so that no other server does; who then did not hear of it is anybody's again. Without that
        // store, or the right to write it: better told twice than not at all.
        const mine = known === null ? null : await write({ id, told: names }, known.mod).catch(() => '');
        if (known !== null && mine === null) return false;
        const failed = await tellAll(now, { ...alert, id });
        const heard = { id, told: names.filter((name) => !failed.includes(name)) };
        if (mine === null || mine === '') own = heard;
        else if (failed.length > 0) await write(heard, mine);
        if (failed.length > 0) return false;
      }
      return left.length === now.length;
    },
    async back(alert: Alert): Promise<boolean> {
      const { away, mod } = await read();
      if (away === null) return true;
      const asked = channels().filter(({ name }) => away.told.includes(name));
      const now = asked.filter((one) => !isQuiet(one));
      const later = asked.filter(isQuiet).map(({ name }) => name);
      const mine = await write(later.length === 0 ? null : { ...away, told: later }, mod);
      if (mine === null) return false;
      own = null;
      const failed = await tellAll(now, { ...alert, id: `recovered~${away.id || alert.id}` });
      if (failed.length > 0)
        await write({ ...away, told: [...later, ...failed] }, later.length === 0 ? '0' : mine);
      return later.length + failed.length === 0;
    },
  };
}
