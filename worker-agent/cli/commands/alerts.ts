import type * as v from 'valibot';
import type {
  Alert as AlertAnswer,
  Channel as ChannelAnswer,
  Delivery as DeliveryAnswer,
} from '#functions/answers.ts';
import { type Command, type Context, jsonFlag, show, Usage } from '../command.ts';
import { plain, table } from '../terminal.ts';
import { timeText } from '../views.ts';

type Alert = v.InferOutput<typeof AlertAnswer>;
type Channel = v.InferOutput<typeof ChannelAnswer>;
type Delivery = v.InferOutput<typeof DeliveryAnswer>;

export const alertCommands: readonly Command[] = [
  {
    ...{ name: 'alerts', part: 'Fleet', words: '', count: [0, 0], summary: 'What is wrong now' },
    example: 'cronfleet alerts --all --limit 5',
    flags: {
      all: { help: 'what is over as well, newest first' },
      limit: { value: 'N', help: 'at most so many (20)' },
      ...jsonFlag,
    },
    async run(context) {
      const { has, text, terminal } = context;
      const query = { open: has('all') ? undefined : 'true', limit: text('limit') ?? '20' };
      const { items } = (await context.api().get('/alerts', query)) as { items: Alert[] };
      if (items.length === 0 && !has('json')) {
        terminal.note(
          has('all')
            ? 'there has been none'
            : 'nothing is wrong, as far as anybody has asked to be told of it',
        );
        return 0;
      }
      return show<Alert[]>(context, items, (alerts) =>
        table(
          ['SINCE', 'OVER', 'WHAT', 'TOLD', 'NOT TOLD'],
          alerts.map((one) => [
            timeText(one.at),
            timeText(one.endedAt),
            plain(one.title),
            one.told.map(({ channel }) => channel).join(',') || '-',
            plain(one.problem ?? (one.waits ? 'waits' : '-')),
          ]),
        ),
      );
    },
  },
  {
    ...{ name: 'channel', part: 'Fleet', words: 'ls | test NAME | delete NAME', count: [1, 2] },
    summary: 'Where alerts go; test sends a message and says what came of it',
    example: 'cronfleet channel test ops',
    flags: jsonFlag,
    run(context) {
      const [what, name] = context.args;
      if (what === 'ls' && name === undefined) return listChannels(context);
      if (what === 'test' && name !== undefined) return testChannel(context, name);
      if (what === 'delete' && name !== undefined) return deleteChannel(context, name);
      throw new Usage(`${context.args.join(' ')}: expected ls, test NAME, or delete NAME`);
    },
  },
];

async function listChannels(context: Context): Promise<number> {
  const { items } = (await context.api().get('/channels')) as { items: Channel[] };
  return show<Channel[]>(context, items, (channels) =>
    table(
      ['NAME', 'KIND', 'ADDRESS', 'TO', 'OF THE FLEET', 'QUIET'],
      channels.map(({ name, type, url, to, on, quiet }) => [
        name,
        type,
        plain(url),
        plain(to.join(',')) || '-',
        on.join(',') || '-',
        quiet === null ? '-' : `${quiet.from}-${quiet.to} ${quiet.timezone}`,
      ]),
    ),
  );
}

/** Exit code 1 where nobody got it. */
async function testChannel(context: Context, name: string): Promise<number> {
  const delivery = (await context
    .api()
    .send('POST', `/channels/${encodeURIComponent(name)}/test`, {})) as Delivery;
  const { delivered, detail } = delivery;
  show<Delivery>(context, delivery, () => plain(`${name}: ${delivered ? '' : 'not '}delivered: ${detail}`));
  return delivered ? 0 : 1;
}

/** One that jobs name stays: the server's refusal names them. */
async function deleteChannel(context: Context, name: string): Promise<number> {
  const gone = await context.api().send('DELETE', `/channels/${encodeURIComponent(name)}`);
  return show<Channel>(context, gone, () => `${name} is deleted`);
}
