import * as v from 'valibot';
import { fleetNotices } from '#core/model/alert.ts';
import { jobId } from '#core/model/ids.ts';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import type { JobStore } from './job-record.ts';
import { pageOfJobs } from './jobs.ts';
import type { Layout } from './keys.ts';
import { decode } from './records.ts';

export const channelTypes = ['webhook', 'slack', 'email'] as const;

/** Under channels/<name>: where alerts may go. The URL is a secret where it holds one (Slack's do, and a mail server's password). */
export const ChannelValue = v.object({
  type: v.picklist(channelTypes),
  /** Of an e-mail channel its server: smtp://[USER:PASSWORD@]HOST[:PORT], or smtps:. */
  url: v.string(),
  /** What a webhook's messages are signed with; null: they are not. */
  secret: v.optional(v.nullable(v.string()), null),
  /** E-mail: sender and recipients. */
  from: v.optional(v.nullable(v.string()), null),
  to: v.optional(v.array(v.string()), () => []),
  /** What of the fleet it is told; jobs name their channels themselves. */
  on: v.optional(v.array(v.picklist(fleetNotices)), () => []),
  quiet: v.optional(v.nullable(v.object({ from: v.string(), to: v.string(), timezone: v.string() })), null),
  updatedAt: v.pipe(v.number(), v.integer()),
  updatedBy: v.string(),
});
export type ChannelValue = v.InferOutput<typeof ChannelValue>;

export type NamedChannel = ChannelValue & { name: string };

export async function listChannels(kv: Kv, layout: Layout): Promise<NamedChannel[]> {
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

/** The jobs that have a channel told, by `group/name`; no more than `most` of them. A save in that very moment may be missed. */
export async function jobsTold(store: JobStore, channel: string, most: number): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | null = null; ; ) {
    const { jobs, last, more } = await pageOfJobs(store, { after, limit: 500 });
    const told = jobs.filter(({ record }) => record.job.notify.some(({ to }) => to.includes(channel)));
    found.push(...told.map(({ record }) => jobId(record.job.group, record.job.name)));
    if (!more || found.length >= most) return found.slice(0, most);
    after = last;
  }
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
