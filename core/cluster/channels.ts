import * as v from 'valibot';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import type { Layout } from './keys.ts';
import { decode } from './records.ts';

/** Under channels/<name>: where alerts may go. The URL is a secret where it holds one (Slack's do). */
export const ChannelValue = v.object({
  type: v.picklist(['webhook', 'slack']),
  url: v.string(),
  updatedAt: v.pipe(v.number(), v.integer()),
  updatedBy: v.string(),
});
export type ChannelValue = v.InferOutput<typeof ChannelValue>;

export async function listChannels(kv: Kv, layout: Layout): Promise<(ChannelValue & { name: string })[]> {
  const { entries } = await kv.range(prefixRange(layout.channels));
  return entries.flatMap((entry) => {
    const read = decode(ChannelValue, entry);
    return read.ok ? [{ name: entry.key.slice(layout.channels.length), ...read.value }] : [];
  });
}

export async function getChannel(kv: Kv, layout: Layout, name: string): Promise<ChannelValue | null> {
  const { entries } = await kv.range({ key: layout.channel(name) });
  const read = entries[0] === undefined ? null : decode(ChannelValue, entries[0]);
  return read?.ok ? read.value : null;
}

/** Null takes it away. Whether there was one. */
export async function putChannel(
  kv: Kv,
  layout: Layout,
  name: string,
  channel: ChannelValue | null,
): Promise<boolean> {
  const key = layout.channel(name);
  const { succeeded } = await kv.txn({
    compare: [{ key, target: 'create', op: '>', revision: '0' }],
    then: [channel === null ? { type: 'delete', key } : put(key, channel)],
    else: channel === null ? [] : [put(key, channel)],
  });
  return succeeded;
}

function put(key: string, channel: ChannelValue) {
  return { type: 'put' as const, key, value: JSON.stringify(channel) };
}
