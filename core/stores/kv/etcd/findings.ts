import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import type { StoreFinding } from '#core/model/store-finding.ts';
import { aheadBy, type Clock } from '#core/ports/clock.ts';
import { KvError } from '#core/ports/kv.ts';
import { ofCertificates } from './certificates.ts';
import { explain } from './fault.ts';
import type { Members } from './members.ts';
import type { EtcdOptions } from './options.ts';
import { ofRights, type Part } from './rights.ts';
import { tooOld } from './version.ts';
import type { RangeAnswer } from './wire.ts';

interface Status {
  header: { cluster_id: string };
  version: string;
  dbSize: string;
  leader: string;
}
interface Standing {
  name: string;
  status: Status;
}

/** From these on permissions hold inside nested transactions, which every claim is. */
const nestedChecks: Record<string, number> = { '3.5': 28, '3.6': 9 };
/** etcd's own quota, and the share of it from which on to speak. */
const quotaBytes = 2 * 1024 ** 3;
const fullShare = 0.8;
/** A history this long is kept by no compaction: a few days of a busy fleet. */
const longHistory = 10_000_000n;
/** A new store has a short history and is compacted within the hour. */
const shortHistory = 10_000n;
const slowMs = 200;
/** HTTP tells whole seconds. */
const clockOffMs = 2_000;
const clockTimeoutMs = 2_000;

/** What is wrong with each member and the whole, for a start and for `doctor`: nothing where all is well. Refusals as at sign-in. */
export async function etcdFindings(
  members: Members,
  options: EtcdOptions,
  clock: Clock,
  part: Part,
): Promise<StoreFinding[]> {
  const answers = await members.each<Status>('Maintenance', 'status', {});
  const standing: Standing[] = [];
  const found: StoreFinding[] = ofCertificates(options, clock.now());
  for (const { name, answer, error } of answers) {
    if (answer) standing.push({ name, status: answer });
    else if (/permission denied|user name is empty|auth token/.test(error))
      found.push(
        note(
          'etcd_forbidden',
          `etcd at ${name} does not tell this credential how it is`,
          'let somebody who may look: etcdctl endpoint status, etcdctl alarm list',
        ),
      );
    else
      found.push(
        away(
          name,
          error,
          answers.every(({ answer }) => answer === null),
        ),
      );
  }
  if (standing.length === 0) return found;
  found.push(...standing.flatMap(ofMember), ...ofCluster(standing));
  // The first question also made the connections, which takes longer than any claim will.
  const began = clock.boot();
  const again =
    standing.length === answers.length ? await members.each<Status>('Maintenance', 'status', {}) : [];
  const tookMs = clock.boot() - began;
  if (tookMs > slowMs && again.every(({ answer }) => answer !== null))
    found.push(
      note(
        'etcd_slow',
        `etcd answers after ${Math.round(tookMs)} ms, and each claim waits for it`,
        'etcd wants a fast disk of its own (an SSD), and members near each other',
      ),
    );
  const more = await Promise.all([
    ofAlarms(members),
    ofRights(members, options.user?.name ?? null, part),
    ofCompaction(members),
    ...standing.map(({ name }) => ofClock(name, options, clock)),
  ]);
  found.push(...more.flat());
  return found;
}

const note = (code: string, what: string, advice: string): StoreFinding => ({
  ...{ code, level: 'warning', message: `${what}: ${advice}` },
});
const bad = (code: string, what: string, advice: string): StoreFinding => ({
  ...{ code, level: 'error', message: `${what}: ${advice}` },
});

/** One member of several may be away; who is refused has a mistake in the URL. */
function away(name: string, error: string, alone: boolean): StoreFinding {
  const why = explain(error);
  const what = `etcd at ${name} ${why?.what ?? `does not answer: ${error}`}`;
  if (why?.lasting)
    return bad('etcd_refused', what, 'correct the URL of --kv, or the certificates that it names');
  return alone
    ? bad('etcd_away', what, 'start it, or correct the URL of --kv')
    : note(
        'etcd_away',
        what,
        'start it, or take it out of the URL of --kv; with most members the fleet goes on',
      );
}

function ofMember({ name, status: { version, dbSize, leader } }: Standing): StoreFinding[] {
  const found: StoreFinding[] = [];
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  const old = tooOld(name, version);
  const unchecked = major === 3 && (minor < 5 || patch < (nestedChecks[`${major}.${minor}`] ?? 0));
  const at = `etcd at ${name}`;
  if (old !== null) found.push({ code: 'etcd_version', level: 'error', message: old });
  else if (unchecked)
    found.push(
      note(
        'etcd_roles',
        `${at} is version ${version}, which checks no permission inside nested transactions: there a worker's credential may write jobs`,
        'upgrade it to 3.5.28, 3.6.9, 3.7 or later, if workers are not to be trusted so far',
      ),
    );
  if (leader === '0')
    found.push(
      bad(
        'etcd_leader',
        `${at} knows no leader: nothing can be claimed through it`,
        'most members must run and reach each other: look at the others, and at the network between them',
      ),
    );
  if (Number(dbSize) > fullShare * quotaBytes)
    found.push(
      note(
        'etcd_nearly_full',
        `${at} keeps ${(Number(dbSize) / 1e9).toFixed(1)} GB; at its quota, 2.1 GB unless --quota-backend-bytes says otherwise, it takes no writes`,
        'etcdctl compact REVISION, etcdctl defrag --cluster',
      ),
    );
  return found;
}

function ofCluster(standing: readonly Standing[]): StoreFinding[] {
  const kinds = (of: (status: Status) => string) => new Set(standing.map(({ status }) => of(status))).size;
  const list = (of: (status: Status) => string) =>
    standing.map(({ name, status }) => `${name} ${of(status)}`).join(', ');
  if (kinds(({ header }) => header.cluster_id) > 1)
    return [
      bad(
        'etcd_clusters',
        `these are members of different clusters: ${list(({ header }) => header.cluster_id)}`,
        'name the members of one cluster in the URL of --kv',
      ),
    ];
  if (kinds(({ version }) => version) > 1)
    return [
      note(
        'etcd_versions',
        `the members have different versions: ${list(({ version }) => version)}`,
        'bring all to one version',
      ),
    ];
  return [];
}

async function ofAlarms(members: Members): Promise<StoreFinding[]> {
  const answer = await members
    .call<{ alarms: { alarm: 'None' | 'Nospace' | 'Corrupt' }[] }>({
      service: 'Maintenance',
      method: 'alarm',
      request: { action: 'Get' },
      repeatable: true,
    })
    .catch(unlessKvError);
  const raised = new Set(answer?.alarms.map(({ alarm }) => alarm));
  const found: StoreFinding[] = [];
  if (raised.has('Nospace'))
    found.push(
      bad(
        'etcd_nospace',
        'etcd is out of space and takes no writes, so nothing starts',
        'etcdctl compact REVISION, etcdctl defrag --cluster, etcdctl alarm disarm; then give its members --auto-compaction-retention and a higher --quota-backend-bytes (infra/etcd/etcd.conf.yaml)',
      ),
    );
  if (raised.has('Corrupt'))
    found.push(
      bad(
        'etcd_corrupt',
        'a member of etcd holds corrupt data',
        'etcdctl alarm list names it: replace that member, or restore a backup (infra/runbook.md)',
      ),
    );
  return found;
}

/**
 * No etcd tells its settings; but what can still be read at a revision that any compaction would have taken tells them. Keys
 * that nobody may read are asked for in vain: then nothing is said.
 */
async function ofCompaction(members: Members): Promise<StoreFinding[]> {
  const read = (revision: string) =>
    members.call<RangeAnswer>({
      service: 'KV',
      method: 'range',
      request: { key: Buffer.from('/cron/jobs/'), revision, count_only: true },
      repeatable: true,
    });
  const now = await read('0').catch(unlessKvError);
  const revision = BigInt(now?.header.revision ?? 0);
  if (revision < shortHistory) return [];
  const long = revision > longHistory;
  const old = await read(long ? String(revision - longHistory) : '1').catch(unlessKvError);
  if (!old) return [];
  return [
    note(
      'etcd_compaction',
      `etcd keeps ${long ? `the last ${longHistory}` : 'all'} of its ${revision} revisions, as if nothing compacted it: it will run full`,
      'give its members --auto-compaction-mode=periodic --auto-compaction-retention=1h (infra/etcd/etcd.conf.yaml), unless it is quite new',
    ),
  ];
}

async function ofClock(name: string, { tls }: EtcdOptions, clock: Clock): Promise<StoreFinding[]> {
  const asked = clock.now();
  const date = await dateOf(name, tls);
  const off = aheadBy(date, asked, clock.now());
  if (Number.isNaN(off) || Math.abs(off) < clockOffMs) return [];
  return [
    note(
      'etcd_clock',
      `the clock of etcd at ${name} and this machine's are ${Math.round(Math.abs(off) / 1_000)} s apart`,
      'let both be set by NTP (timedatectl set-ntp true): a worker that is over 500 ms off claims nothing',
    ),
  ];
}

/** The Date of an answer of its client port, NaN without one: a matter of courtesy that proxies may not show. */
function dateOf(name: string, tls: EtcdOptions['tls']): Promise<number> {
  return new Promise((resolve) => {
    const [host = '', port] = [name.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''), name.split(':').at(-1)];
    const where = { host, port, path: '/version', timeout: clockTimeoutMs, agent: false };
    const given = Object.fromEntries(Object.entries(tls ?? {}).filter(([, file]) => file !== null));
    const request = (tls ? httpsGet : httpGet)({ ...where, ...given }, (answer) => {
      answer.resume();
      // The second began up to a second before: its middle is the best guess.
      resolve(Date.parse(answer.headers.date ?? '') + 500);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(Number.NaN));
  });
}

/** What cannot be asked is no finding: who is away, or may not, is told elsewhere. */
function unlessKvError(error: unknown): undefined {
  if (!(error instanceof KvError)) throw error;
}
