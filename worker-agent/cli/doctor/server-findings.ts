import { Refusal } from '#core/model/refusal.ts';
import { Unreachable } from '../api-client.ts';
import type { Context } from '../command.ts';
import { version } from '../shipped.ts';
import { bad, type Finding, note, ok } from './finding.ts';

interface Worker {
  id: string;
  state: string;
  clockSkewMs: number | null;
  version: string;
  tzdata: string;
}

/** Beyond this a worker claims nothing. */
const mostSkewMs = 500;

/** What the server says of itself, its workers and its clock. */
export async function serverFindings({ api, now }: Context): Promise<Finding[]> {
  try {
    const found: Finding[] = [];
    const asked = now();
    const server = api();
    const health = (await server.get('/health')) as {
      status: string;
      version?: string;
      stores?: Record<string, string>;
    };
    const tookMs = now() - asked;
    const stores = Object.entries(health.stores ?? {}).map(([name, state]) => `${name} ${state}`);
    found.push(
      ok(
        `${server.url} answers in ${tookMs} ms: ${health.status}${stores.length > 0 ? ` (${stores.join(', ')})` : ''}`,
      ),
    );
    const me = (await server.get('/me')) as { name: string; role: string };
    found.push(ok(`the token is good: ${me.name}, ${me.role}`));
    found.push(
      health.version === undefined || health.version === version
        ? ok(`version ${version}, here and there`)
        : bad(
            `the server is version ${health.version}, this command line ${version}`,
            'bring both to the same version',
          ),
    );
    const date = (await server.raw('/me', 'application/json')).headers.get('date');
    found.push(...clockFinding(date, now()));
    found.push(...workerFindings(((await server.get('/workers')) as { items: Worker[] }).items));
    return found;
  } catch (error) {
    if (error instanceof Unreachable) return [bad(error.message)];
    if (error instanceof Refusal)
      return [bad(error.message, 'the token can be another one: --token, CRONFLEET_TOKEN')];
    throw error;
  }
}

/** The Date of an answer has whole seconds, so only what is more than one off can be seen. */
function clockFinding(date: string | null, now: number): Finding[] {
  const there = Date.parse(date ?? '');
  if (Number.isNaN(there)) return [];
  const off = Math.round((now - there) / 1_000);
  return Math.abs(off) <= 2
    ? [ok("this clock and the server's agree")]
    : [
        bad(
          `this clock and the server's are ${off} s apart`,
          'let both be set by NTP: timedatectl set-ntp true',
        ),
      ];
}

function workerFindings(workers: readonly Worker[]): Finding[] {
  const live = workers.filter(({ state }) => state === 'live');
  const found: Finding[] = [
    live.length > 0
      ? ok(`live workers: ${live.map(({ id }) => id).join(', ')}`)
      : bad('no worker is live: nothing will run', 'start one: cronfleet up; its log says why it is not'),
  ];
  for (const { id, state, clockSkewMs } of workers) {
    if (state === 'draining')
      found.push(note(`${id} is draining and takes nothing new`, `cronfleet drain ${id} --undo lets it`));
    if (state === 'away')
      found.push(
        note(`${id} was stopped while runs lived`, 'start it again within ten minutes, and it adopts them'),
      );
    if (clockSkewMs !== null && Math.abs(clockSkewMs) > mostSkewMs)
      found.push(
        bad(
          `${id}'s clock is ${clockSkewMs} ms off, so it claims nothing`,
          'let it be set by NTP: timedatectl set-ntp true',
        ),
      );
  }
  const zones = new Set(live.map(({ tzdata }) => tzdata));
  if (zones.size > 1)
    found.push(
      note(
        `workers have different zone data: ${[...zones].join(', ')}`,
        'jobs with a zone run on the majority; bring all to one version',
      ),
    );
  return found;
}
