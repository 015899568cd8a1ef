import type { Role } from '#core/cluster/records.ts';
import { type Command, type Context, jsonFlag, show, Usage } from '../command.ts';
import { plain, table } from '../terminal.ts';
import { timeText } from '../views.ts';

interface Worker {
  id: string;
  host: string;
  labels: Record<string, string>;
  version: string;
  state: string;
  lastBeat: string | null;
  capacity: number;
  running: number | null;
  clockSkewMs: number | null;
}

interface Token {
  id: string;
  name: string;
  role: Role;
  groups: string[] | null;
  createdAt: string;
}

export const fleetCommands: readonly Command[] = [
  {
    ...{ name: 'workers', part: 'Fleet', words: '', count: [0, 0], summary: 'List workers' },
    example: 'cronfleet workers',
    flags: jsonFlag,
    async run(context) {
      const { items } = (await context.api().get('/workers')) as { items: Worker[] };
      return show<Worker[]>(context, items, (list) =>
        table(
          ['WORKER', 'STATE', 'RUNNING', 'CAPACITY', 'VERSION', 'LAST BEAT', 'LABELS'],
          list.map((one) => [
            one.id,
            one.state,
            String(one.running ?? '-'),
            String(one.capacity),
            one.version,
            timeText(one.lastBeat),
            plain(
              Object.entries(one.labels)
                .map(([key, value]) => `${key}=${value}`)
                .join(','),
            ),
          ]),
        ),
      );
    },
  },
  {
    ...{
      name: 'drain',
      part: 'Fleet',
      words: 'WORKER',
      count: [1, 1],
      summary: 'Let a worker take nothing new; what runs goes on',
    },
    example: 'cronfleet drain web-1',
    flags: { undo: { help: 'let it take runs again' }, ...jsonFlag },
    async run(context) {
      const path = `/workers/${encodeURIComponent(context.args[0] ?? '')}`;
      const worker = await context.api().send('POST', `${path}/${context.has('undo') ? 'undrain' : 'drain'}`);
      return show<Worker>(context, worker, ({ id, state }) => `${id}: ${state}`);
    },
  },
  {
    ...{ name: 'token', part: 'Fleet', words: 'create NAME | ls | revoke ID', count: [1, 2] },
    summary: 'Tokens for people and programs; create prints the token alone, once',
    example: 'cronfleet token create grafana --role viewer --group web',
    flags: {
      role: { value: 'ROLE', help: 'viewer, operator (run, kill, pause), editor or admin; create needs it' },
      group: { value: 'G,...', help: 'for these groups only' },
      ...jsonFlag,
    },
    run(context) {
      const [what, name] = context.args;
      if (what === 'ls' && name === undefined) return listTokens(context);
      if (what === 'create' && name !== undefined) return createToken(context, name);
      if (what === 'revoke' && name !== undefined) return revokeToken(context, name);
      throw new Usage(`${context.args.join(' ')}: expected create NAME, ls, or revoke ID`);
    },
  },
];

async function listTokens(context: Context): Promise<number> {
  const { items: tokens } = (await context.api().get('/tokens')) as { items: Token[] };
  return show<Token[]>(context, tokens, (list) =>
    table(
      ['ID', 'NAME', 'ROLE', 'GROUPS', 'MADE'],
      list.map((one) => [
        one.id,
        plain(one.name),
        one.role,
        one.groups?.join(',') ?? 'all',
        timeText(one.createdAt),
      ]),
    ),
  );
}

async function createToken(context: Context, name: string): Promise<number> {
  const role = context.text('role');
  if (role === undefined) throw new Usage('which role? --role viewer, operator, editor or admin');
  const groups = context.text('group')?.split(',') ?? null;
  const made = await context.api().send('POST', '/tokens', { name, role, groups });
  return show<{ token: string }>(context, made, ({ token }) => token);
}

async function revokeToken(context: Context, id: string): Promise<number> {
  const gone = await context.api().send('DELETE', `/tokens/${encodeURIComponent(id)}`);
  return show<{ id: string }>(context, gone, (one) => `${one.id}: revoked`);
}
