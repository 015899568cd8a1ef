import { useQueryClient } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { type FleetNotice, fleetNotices } from '#core/model/alert.ts';
import { type Channel, Problem } from './api.ts';
import { channelsPath } from './channels-page.tsx';
import { Field } from './field.tsx';
import { Coming, Fault, Link, type Shared, usePages, useTitle } from './parts.tsx';

const types = {
  webhook: 'Webhook: JSON by POST',
  slack: 'Slack, or what takes its messages',
  email: 'E-mail by SMTP',
} as const;
const addresses = {
  webhook: 'such as https://example.org/alerts',
  slack: 'such as https://hooks.slack.com/services/...',
  email: "the mail server's: smtp://[USER:PASSWORD@]HOST[:PORT], or smtps:",
} as const;
const ofFleet: Record<FleetNotice, string> = {
  worker_dead: 'a worker is dead',
  no_worker: 'no worker is there, or none fits a job',
  store_away: 'a store does not answer',
  clock_skewed: "a worker's clock is off",
  spool_half_full: "a worker's spool is half full",
  overdue: 'a schedule is overdue',
};

/** The form of a channel that is there, by its address. */
export function ChannelPage(props: Shared & { name: string }) {
  const { call, go, name } = props;
  // Kept as it was when the form was opened: what is typed is not taken away by what others save.
  const { items, error } = usePages<Channel>(call, channelsPath, 0);
  if (items === undefined) return <Coming error={error} />;
  const channel = items.find((one) => one.name === name);
  if (channel === undefined)
    return (
      <>
        <h1 class="h3">There is no channel {name}</h1>
        <Link to="/channels" go={go}>
          Channels
        </Link>
      </>
    );
  return <ChannelForm {...props} channel={channel} />;
}

export function ChannelForm({ call, go, channel }: Shared & { channel: Channel | null }) {
  useTitle(channel === null ? 'New channel' : `Channel ${channel.name}`);
  const queries = useQueryClient();
  const [type, setType] = useState<Channel['type']>(channel?.type ?? 'webhook');
  const [texts, setTexts] = useState<Record<string, string>>({
    ...{ name: channel?.name ?? '', url: channel?.url ?? '', secret: '' },
    ...{ from: channel?.from ?? '', to: channel?.to.join(', ') ?? '' },
    ...{ quietFrom: channel?.quiet?.from ?? '', quietTo: channel?.quiet?.to ?? '' },
    timezone: channel?.quiet?.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
  });
  const [unsigned, setUnsigned] = useState(false);
  const [on, setOn] = useState<readonly FleetNotice[]>(channel?.on ?? fleetNotices);
  const [fault, setFault] = useState<unknown>(null);
  const text = (name: string) => texts[name]?.trim() ?? '';
  const errorOf = (path: string) =>
    fault instanceof Problem
      ? fault.errors.find((one) => one.path === path || one.path.startsWith(`${path}.`))?.message
      : undefined;
  const field = (name: string, label: string, hint: string, path = name, more: object = {}) => (
    <Field
      {...{ name, label, hint, ...more }}
      value={texts[name] ?? ''}
      error={errorOf(path)}
      set={(value) => setTexts({ ...texts, [name]: value })}
    />
  );

  async function send(method: 'PUT' | 'DELETE', body?: object) {
    try {
      const path = `/channels/${encodeURIComponent(text('name'))}`;
      await call(method, path, body === undefined ? {} : { body });
      await queries.invalidateQueries({ queryKey: [channelsPath] });
      go('/channels');
    } catch (error) {
      setFault(error);
    }
  }
  function save(event: Event) {
    event.preventDefault();
    // Left out it stays; an empty text would be a mistake.
    const secret = unsigned ? { secret: null } : text('secret') === '' ? {} : { secret: text('secret') };
    const quiet = { from: text('quietFrom'), to: text('quietTo'), timezone: text('timezone') };
    void send('PUT', {
      ...{ type, url: text('url'), on },
      quiet: quiet.from === '' && quiet.to === '' ? null : quiet,
      ...(type === 'webhook' ? secret : {}),
      ...(type === 'email'
        ? {
            from: text('from'),
            to: text('to')
              .split(/[\s,;]+/)
              .filter(Boolean),
          }
        : {}),
    });
  }

  return (
    <form onSubmit={save}>
      <h1 class="h3">{channel === null ? 'New channel' : `Channel ${channel.name}`}</h1>
      {field(
        'name',
        'Name',
        channel === null ? 'letters, digits, . _ -; jobs call it by this' : 'a channel keeps its name',
        'name',
        {
          readOnly: channel !== null,
          required: true,
        },
      )}
      <div class="mb-3">
        <label class="form-label" for="type">
          Kind
        </label>
        <select
          id="type"
          class="form-select"
          value={type}
          onChange={(event) => setType(event.currentTarget.value as Channel['type'])}
        >
          {Object.entries(types).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </div>
      {field(
        'url',
        'Address',
        texts.url?.includes('***')
          ? '*** and what follows stand for what is kept and not shown again; to change any of it, write the whole'
          : addresses[type],
      )}
      {type === 'webhook' && (
        <>
          {field(
            'secret',
            'Secret',
            channel?.signed
              ? 'messages are signed with the one that is kept; empty: it stays'
              : 'messages are signed with it (HMAC); empty: they are not',
            'secret',
            { secret: true },
          )}
          {channel?.signed && (
            <div class="mb-3">
              <Check
                {...{ id: 'unsigned', label: 'Sign no more', checked: unsigned }}
                set={() => setUnsigned(!unsigned)}
              />
            </div>
          )}
        </>
      )}
      {type === 'email' && (
        <>
          {field('from', 'From', 'such as cronfleet@example.org')}
          {field('to', 'To', 'one or more, with a comma between')}
        </>
      )}
      <fieldset class="mb-3">
        <legend class="fs-6">Of the fleet it is told when</legend>
        {fleetNotices.map((kind) => (
          <Check
            key={kind}
            id={kind}
            label={ofFleet[kind]}
            checked={on.includes(kind)}
            set={() => setOn(on.includes(kind) ? on.filter((one) => one !== kind) : [...on, kind])}
          />
        ))}
        <div class="form-text">What it is told of jobs is in each job, under “Tell”.</div>
      </fieldset>
      <fieldset>
        <legend class="fs-6">Quiet hours: what comes up then is told in one piece afterwards</legend>
        <div class="row">
          <div class="col-6 col-md-3">
            {field('quietFrom', 'Quiet from', 'such as 22:00; empty: never', 'quiet.from')}
          </div>
          <div class="col-6 col-md-3">{field('quietTo', 'Quiet to', 'such as 07:00', 'quiet.to')}</div>
          <div class="col-md-6">
            {field('timezone', 'Time zone', 'such as Europe/Berlin', 'quiet.timezone')}
          </div>
        </div>
      </fieldset>
      <Fault error={fault} />
      <div class="d-flex flex-wrap gap-2">
        <button type="submit" class="btn btn-primary">
          Save
        </button>
        <button type="button" class="btn btn-outline-secondary" onClick={() => go('/channels')}>
          Cancel
        </button>
        {channel !== null && (
          <button
            type="button"
            class="btn btn-outline-danger ms-auto"
            onClick={() =>
              confirm(`Delete channel ${channel.name}? What still waits for it is told to nobody there.`) &&
              void send('DELETE')
            }
          >
            Delete
          </button>
        )}
      </div>
    </form>
  );
}

function Check(props: { id: string; label: string; checked: boolean; set(): void }) {
  const { id, label, checked, set } = props;
  return (
    <div class="form-check">
      <input class="form-check-input" type="checkbox" id={id} checked={checked} onChange={set} />
      <label class="form-check-label" for={id}>
        {label}
      </label>
    </div>
  );
}
