import { useState } from 'preact/hooks';
import type { Channel, Delivery } from './api.ts';
import { Coming, Fault, Link, type Shared, Time, usePages, useTitle } from './parts.tsx';

export const channelsPath = '/channels?limit=500';

/** Where alerts may go: for admins, by whom each is set up and tried out. */
export function ChannelsPage({ call, go }: Shared) {
  useTitle('Channels');
  const { items, error, pager } = usePages<Channel>(call, channelsPath, 10_000);
  return (
    <>
      <div class="d-flex gap-2 mb-3 align-items-center">
        <h1 class="h3 me-auto mb-0">Channels</h1>
        <button type="button" class="btn btn-primary" onClick={() => go('/new/channel')}>
          New channel
        </button>
      </div>
      {items === undefined ? <Coming error={error} /> : <Fault error={error} />}
      {items?.length === 0 && (
        <div class="alert alert-info">
          No channels yet. One is where alerts go: a webhook, Slack, or mail. Jobs name it under “Tell”; what
          it is told of the fleet is its own choice.
        </div>
      )}
      {items !== undefined && items.length > 0 && (
        <ul class="list-group">
          {items.map((channel) => (
            <Item key={channel.name} channel={channel} call={call} go={go} />
          ))}
        </ul>
      )}
      {pager}
    </>
  );
}

function Item({ channel, call, go }: { channel: Channel } & Pick<Shared, 'call' | 'go'>) {
  const { name, type, url, signed, from, to, on, quiet, updatedAt, updatedBy } = channel;
  const [sending, setSending] = useState(false);
  const [sent, setSent] = useState<Delivery | null>(null);
  const [fault, setFault] = useState<unknown>(null);
  async function test() {
    setSending(true);
    setSent(null);
    setFault(null);
    try {
      setSent(await call<Delivery>('POST', `/channels/${encodeURIComponent(name)}/test`, { body: {} }));
    } catch (error) {
      setFault(error);
    }
    setSending(false);
  }
  return (
    <li class="list-group-item">
      <div class="d-flex flex-wrap gap-2 align-items-center">
        <span class="me-auto">
          <strong>
            <Link to={`/channels/${encodeURIComponent(name)}`} go={go}>
              {name}
            </Link>
          </strong>{' '}
          <span class="badge text-bg-secondary">{type}</span>{' '}
          {signed && <span class="badge text-bg-secondary">signed</span>}
        </span>
        <button type="button" class="btn btn-sm btn-outline-primary" disabled={sending} onClick={test}>
          {sending ? 'Sending ...' : 'Send a test'}
        </button>
      </div>
      <div class="small text-break">
        <code>{url}</code>
        {type === 'email' && ` from ${from} to ${to.join(', ')}`}
      </div>
      <div class="small">
        {on.length === 0
          ? 'Told of jobs that name it'
          : `Told of jobs that name it, and of: ${on.map((kind) => kind.replaceAll('_', ' ')).join(', ')}`}
        {quiet !== null && `; quiet from ${quiet.from} to ${quiet.to} (${quiet.timezone})`}
      </div>
      <div class="small text-body-secondary">
        saved by {updatedBy} at <Time at={updatedAt} />
      </div>
      {sent !== null && (
        <div class={`alert alert-${sent.delivered ? 'success' : 'danger'} mt-2 mb-0 py-2`} role="status">
          {sent.delivered ? 'Delivered' : 'Not delivered'}: {sent.detail}
        </div>
      )}
      <Fault error={fault} />
    </li>
  );
}
