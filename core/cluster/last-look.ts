import * as v from 'valibot';
import type { Kv, Revision } from '#core/ports/kv.ts';
import type { Layout } from './keys.ts';
import { decode } from './records.ts';

/** Under alerts/watchdog: that somebody looks at the fleet, whoever it is. */
const LookValue = v.object({ at: v.pipe(v.number(), v.integer()), newest: v.string() });

/** A whole look: when (UTC ms), and the revision of the job that was written last. */
export interface LastLook {
  at: number;
  newest: Revision;
}

export async function putLook(kv: Kv, layout: Layout, { at, newest }: LastLook): Promise<void> {
  const value = JSON.stringify({ at, newest });
  await kv.txn({ compare: [], then: [{ type: 'put', key: layout.alert('watchdog'), value }] });
}

/** Null: nobody has ever looked. */
export async function lastLook(kv: Kv, layout: Layout): Promise<LastLook | null> {
  const { entries } = await kv.range({ key: layout.alert('watchdog') });
  const read = entries[0] === undefined ? null : decode(LookValue, entries[0]);
  return read?.ok ? read.value : null;
}
