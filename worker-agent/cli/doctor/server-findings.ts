import { Refusal } from '#core/model/refusal.ts';
import { aheadBy } from '#core/ports/clock.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { type Api, Unreachable } from '../api-client.ts';
import type { Context } from '../command.ts';
import { NoServerKnown } from '../server.ts';
import { version } from '../shipped.ts';
import { timeText } from '../views.ts';
import { certificateFinding } from './certificate-finding.ts';
import { bad, type Finding, note, ok } from './finding.ts';
import { fleetFindings } from './fleet-findings.ts';
import { type Worker, workerFindings } from './worker-findings.ts';

/** A server that takes connections and says nothing is as good as none. */
const patienceMs = 15_000;

/** What the server says of itself, its workers and its clock. `fleet`: this host has settings of a fleet's daemon, so it need not know a server. */
export async function serverFindings(
  { api, now }: Pick<Context, 'api' | 'now'>,
  { fleet }: { fleet: boolean },
): Promise<Finding[]> {
  const found: Finding[] = [];
  try {
    const server = api();
    found.push(...(await certificateFinding(server.url, now())));
    const asked = now();
    const late = new AbortController();
    const cancel = systemClock().after(patienceMs, () => late.abort(new Error('no answer')));
    const health = await server.health(late.signal).finally(cancel);
    const tookMs = now() - asked;
    const stores = Object.entries(health.stores ?? {}).map(([name, state]) => {
      const away = health.away?.[name];
      return `${name} ${state}${away === undefined ? '' : ` since ${timeText(away.since)}, ${away.why}`}`;
    });
    const answers = `${server.url} answers in ${tookMs} ms: ${health.status}${stores.length > 0 ? ` (${stores.join(', ')})` : ''}`;
    found.push(
      health.status === 'ok'
        ? ok(answers)
        : bad(answers, 'a store does not answer the server: infra/runbook.md, store_away; its log says why'),
    );
    const looks: (() => Promise<Finding[]>)[] = [
      async () => {
        const me = (await server.get('/me')) as { name: string; role: string };
        return [ok(`the token is good: ${me.name}, ${me.role}`)];
      },
      async () => versionFinding(health.version),
      () => signInFinding(server),
      async () => {
        const asked = now();
        const date = (await server.raw('/me', 'application/json')).headers.get('date');
        return clockFinding(date, asked, now());
      },
      async () => workerFindings(((await server.get('/workers')) as { items: Worker[] }).items),
      () => fleetFindings(server),
    ];
    for (const look of looks) found.push(...(await asFarAsSeen(look)));
    // A store that is away is away for each look.
    return found.filter(({ what }, at) => found.findIndex((one) => one.what === what) === at);
  } catch (error) {
    if (error instanceof NoServerKnown && fleet)
      return [
        note(
          'no server is named, so only what can be seen from this host is looked at',
          'CRONFLEET_URL and CRONFLEET_TOKEN name one',
        ),
      ];
    if (error instanceof Unreachable) return [...found, bad(error.message)];
    if (error instanceof Refusal)
      return [...found, bad(error.message, 'the token can be another one: --token, CRONFLEET_TOKEN')];
    throw error;
  }
}

/** What can't be answered now keeps nothing else from being looked at; a token that is refused does. */
async function asFarAsSeen(look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof Unreachable) return [bad(error.message)];
    throw error;
  }
}

function versionFinding(there: string | undefined): Finding[] {
  return there === undefined || there === version
    ? [ok(`version ${version}, here and there`)]
    : [bad(`the server is version ${there}, this command line ${version}`, 'bring both to the same version')];
}

/** By whom people sign in beside tokens, and what keeps the server from that. */
async function signInFinding(server: Api): Promise<Finding[]> {
  try {
    const { oidc } = (await server.get('/sign-in')) as { oidc: { issuer: string } | null };
    return oidc === null ? [] : [ok(`people sign in by ${oidc.issuer}, too`)];
  } catch (error) {
    // A server of before has no such route, and no provider.
    if (error instanceof Refusal && error.code === 'route_not_found') return [];
    if (error instanceof Unreachable) return [bad(error.message, 'until then only tokens let anybody in')];
    throw error;
  }
}

/** The Date of an answer has whole seconds, so only what is more than one off can be seen. */
function clockFinding(date: string | null, asked: number, answered: number): Finding[] {
  const there = Date.parse(date ?? '');
  if (Number.isNaN(there)) return [];
  const off = Math.round(-aheadBy(there, asked, answered) / 1_000);
  return Math.abs(off) <= 2
    ? [ok("this clock and the server's agree")]
    : [
        bad(
          `this clock and the server's are ${off} s apart`,
          'let both be set by NTP: timedatectl set-ntp true',
        ),
      ];
}
