import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../free-ports.ts';
import { type MemberPlan, memberArguments } from './member-command.ts';
import type { EtcdPrograms } from './programs.ts';

export interface Member {
  name: string;
  /** HOST:PORT for clients. */
  endpoint: string;
  /** http://HOST:PORT: /health and /metrics, without credentials whatever the clients' port asks for. */
  metrics: string;
  pid(): number;
  /** SIGSTOP and SIGCONT. */
  pause(): void;
  resume(): void;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** After `kill`, with the data that it had. */
  start(): Promise<void>;
}

export interface Cluster {
  /** HOST:PORT,HOST:PORT: what follows etcd:// in a store's URL. */
  endpoints: string;
  members: readonly Member[];
  programs: EtcdPrograms;
  leader(): Promise<Member>;
  /** Ends every member and removes what they kept. */
  stop(): Promise<void>;
}

export interface ClusterOptions {
  programs: EtcdPrograms;
  members?: 1 | 3;
  /** More flags for each member: `--auth-token-ttl=2`. */
  flags?: readonly string[];
  /** For the clients' port. */
  tls?: { ca: string; cert: string; key: string; clientCerts: boolean };
  /** A member's data folder; left out, one of its own. */
  data?: (member: number) => string;
  /** Called for each member before it starts, to put something into its data folder. */
  prepare?: (member: MemberPlan) => Promise<void>;
  /** A member's settings file instead of flags, made from where it is to stand. */
  configFile?: (member: MemberPlan) => string;
}

/** Fast failover, for tests: a new leader half a second after the old one's death instead of more than a second. */
const timing = ['--heartbeat-interval=50', '--election-timeout=500'];

/** Far above what a start or an election takes on a machine that has much else to do. */
const readyMs = 60_000;

/** Ready clusters of one or three members on free loopback ports, with a temporary folder of their own. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'cronfleet-etcd-'));
  const count = options.members ?? 1;
  const ports = await freePorts(3 * count);
  const port = (member: number, which: number) => ports[3 * member + which] ?? 0;
  const names = Array.from({ length: count }, (_, member) => `m${member + 1}`);
  const peers = names.map((name, member) => `${name}=http://127.0.0.1:${port(member, 1)}`).join(',');
  const scheme = options.tls ? 'https' : 'http';
  const plans = names.map(
    (name, member): MemberPlan => ({
      name,
      client: `${scheme}://127.0.0.1:${port(member, 0)}`,
      peer: `http://127.0.0.1:${port(member, 1)}`,
      metrics: `http://127.0.0.1:${port(member, 2)}`,
      cluster: peers,
      data: options.data?.(member) ?? join(folder, name),
    }),
  );
  const members = plans.map((plan) =>
    memberOf({
      ...plan,
      endpoint: plan.client.replace(`${scheme}://`, ''),
      log: join(folder, `${plan.name}.log`),
      command: [options.programs.etcd, ...argumentsOf(plan, options)],
    }),
  );
  const cluster: Cluster = {
    endpoints: members.map(({ endpoint }) => endpoint).join(','),
    members,
    programs: options.programs,
    async leader() {
      const late = performance.now() + readyMs;
      while (performance.now() < late) {
        for (const member of members) if (await isLeader(member)) return member;
        await sleep(20);
      }
      throw new Error(`none of ${members.map(({ name }) => name)} has become the leader`);
    },
    async stop() {
      await Promise.all(members.map((member) => member.kill()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
  try {
    for (const plan of plans) await options.prepare?.(plan);
    // One after the other: all at once often costs two seconds of lost elections.
    for (const member of members) await member.listening();
    for (const member of members) await member.healthy();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

function argumentsOf(plan: MemberPlan, { tls, flags = [], configFile }: ClusterOptions): string[] {
  if (configFile) return [`--config-file=${configFile(plan)}`];
  return memberArguments(plan, [...timing, ...(tls ? tlsFlags(tls) : []), ...flags]);
}

function memberOf(it: {
  name: string;
  endpoint: string;
  peer: string;
  metrics: string;
  log: string;
  command: readonly string[];
}) {
  let child: ChildProcess | null = null;
  const spawnIt = () => {
    const [program = '', ...args] = it.command;
    const log = openSync(it.log, 'a');
    const one = spawn(program, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    child = one;
  };
  const answers = async (url: string, well: (text: string) => boolean) => {
    const until = performance.now() + readyMs;
    while (!(await fetchText(url).then(well, () => false))) {
      if (child === null || child.exitCode !== null || performance.now() > until)
        throw new Error(
          `etcd ${it.name} does not answer at ${url}; it said:\n${readFileSync(it.log, 'utf8').slice(-4_000)}`,
        );
      await sleep(20);
    }
  };
  const signal = (name: NodeJS.Signals) => {
    if (child !== null && child.exitCode === null && child.signalCode === null) child.kill(name);
  };
  return {
    name: it.name,
    endpoint: it.endpoint,
    metrics: it.metrics,
    pid: () => child?.pid ?? 0,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    async kill() {
      if (child === null || child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
    async start() {
      spawnIt();
      await answers(`${it.metrics}/health`, isHealthy);
    },
    async listening() {
      spawnIt();
      await answers(`${it.peer}/version`, () => true);
    },
    healthy: () => answers(`${it.metrics}/health`, isHealthy),
  };
}

const isHealthy = (text: string) => /"health":\s*"?true/.test(text);

async function isLeader(member: Member): Promise<boolean> {
  const text = await fetchText(`${member.metrics}/metrics`).catch(() => '');
  return /^etcd_server_is_leader 1$/m.test(text);
}

/** A paused member takes the connection and says nothing. */
async function fetchText(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) });
  return answer.text();
}

function tlsFlags(tls: NonNullable<ClusterOptions['tls']>): string[] {
  return [
    `--cert-file=${tls.cert}`,
    `--key-file=${tls.key}`,
    ...(tls.clientCerts ? [`--trusted-ca-file=${tls.ca}`, '--client-cert-auth'] : []),
  ];
}
