import { layout as layoutOf } from '#core/cluster/keys.ts';
import { type Role, roles } from '#core/cluster/records.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { openKv } from '#core/stores/open.ts';
import { createToken as putToken } from '#functions/auth.ts';
import { loadSettings } from '../../settings.ts';
import { type Command, type Context, jsonFlag, show, Usage } from '../command.ts';
import { plain, table } from '../terminal.ts';
import { lacksHistory, noteAway, timeText } from '../views.ts';

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
  tzdata: string;
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
      const answer = (await context.api().get('/workers')) as { items: Worker[]; away?: string[] };
      if (lacksHistory(answer))
        noteAway(context.terminal, 'load figures, and workers that are gone, are left out');
      return show<Worker[]>(context, answer.items, (list) =>
        table(
          ['WORKER', 'STATE', 'RUNNING', 'CAPACITY', 'CLOCK', 'ZONES', 'VERSION', 'LAST BEAT', 'LABELS'],
          list.map((one) => [
            one.id,
            one.state,
            String(one.running ?? '-'),
            String(one.capacity),
            one.clockSkewMs === null ? '-' : `${one.clockSkewMs > 0 ? '+' : ''}${one.clockSkewMs} ms`,
            one.tzdata || '-',
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
      direct: { help: 'create it in the store itself, without a server: the first token of a fleet' },
      kv: { value: 'URL', help: 'that store (CRONFLEET_KV, or kv of the settings file)' },
      config: { value: 'FILE', help: 'the settings file (/etc/cronfleet/config.yaml)' },
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
  if (context.has('direct')) return createDirectly(context, { name, role, groups });
  const made = await context.api().send('POST', '/tokens', { name, role, groups });
  return show<{ token: string }>(context, made, ({ token }) => token);
}

/** Who may write the store may do anything with it: no token is asked for. */
async function createDirectly(
  { env, terminal, text }: Context,
  { name, role, groups }: { name: string; role: string; groups: string[] | null },
): Promise<number> {
  const known = roles.find((one) => one === role);
  if (known === undefined) throw new Usage(`--role ${role}: expected one of ${roles.join(', ')}`);
  const { kv: url } = await loadSettings({ kv: text('kv') }, env, text('config') ?? null);
  if (url === null)
    throw new Usage('--direct: which store? --kv URL, CRONFLEET_KV, or kv in the settings file');
  const clock = systemClock();
  const ids = systemIds();
  const kv = await openKv(url, clock, ids);
  try {
    const token = { name, role: known, groups, by: 'command line' };
    const made = await putToken({ kv, layout: layoutOf(), clock, ids }, token);
    terminal.line(made.text);
    return 0;
  } finally {
    await kv.close();
  }
}

async function revokeToken(context: Context, id: string): Promise<number> {
  const gone = await context.api().send('DELETE', `/tokens/${encodeURIComponent(id)}`);
  return show<{ id: string }>(context, gone, (one) => `${one.id}: revoked`);
}
