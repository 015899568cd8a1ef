import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { memberArguments } from '../etcd/member-command.ts';
import { findEtcd } from '../etcd/programs.ts';
import { findMongoProgram } from '../mongo/find-server.ts';
import { beginSet, serverCommand } from '../mongo/server-command.ts';
import { Child, type ChildDeps, type ChildPlan } from './child.ts';
import { type FleetFile, readFleetFile, writeFleetFile } from './fleet-file.ts';
import { endLeftovers, holdFolder } from './leftovers.ts';
import { checkFree, keptPorts } from './ports.ts';

export interface FleetOptions {
  /** Where everything of it is kept, by absolute path. */
  folder: string;
  /** The first server's, if it is free at the first start; 0: any. */
  port: number;
  restartMs: number;
  tell(line: string): void;
}

export interface Fleet {
  file(): FleetFile;
  /** Asks every part to end, agents first; living jobs live on. */
  stop(): Promise<void>;
}

const run = promisify(execFile);
const cli = fileURLToPath(new URL('../../worker-agent/cli/main.ts', import.meta.url));
const members = ['m1', 'm2', 'm3'];
/** Each of another zone, one with a disk that jobs may ask for. */
const agents = [
  { id: 'agent1', labels: 'zone=a,disk=ssd' },
  { id: 'agent2', labels: 'zone=b' },
  { id: 'agent3', labels: 'zone=c' },
];
const readyMs = 60_000;
const stopMs = 15_000;

/** Starts three etcd members, a MongoDB server, two API servers and three agents, and keeps each of them alive. */
export async function startFleet({ folder, port, restartMs, tell }: FleetOptions): Promise<Fleet> {
  for (const part of ['', 'logs', 'etcd', 'agents'])
    mkdirSync(join(folder, part), { recursive: true, mode: 0o700 });
  const ports = await keptPorts(folder, port);
  const held = await holdFolder(folder, ports.keeper ?? 0);
  const ended = await endLeftovers(folder);
  if (ended > 0) tell(`ended ${ended} processes that an earlier fleet had left in ${folder}`);
  const url = (name: string) => `http://127.0.0.1:${ports[name]}`;
  let token = readFleetFile(folder)?.token ?? '';
  let historyUrl = '';
  const children = new Map<string, Child>();

  const pidOf = (name: string) => children.get(name)?.pid ?? null;
  const servers = ['server1', 'server2'];
  const file = (): FleetFile => ({
    url: url('server1'),
    token,
    pid: process.pid,
    servers: servers.map((name) => ({ url: url(name), pid: pidOf(name) })),
    agents: agents.map(({ id }) => ({ id, pid: pidOf(id) })),
    etcd: members.map((name) => ({ name, url: url(`${name}-client`), pid: pidOf(name) })),
    history: { url: historyUrl, pid: pidOf('history') },
  });
  const deps: ChildDeps = {
    restartMs,
    stopMs,
    changed: () => writeFleetFile(folder, file()),
    died: (name, how) => tell(`${name} ended (${how}); it is started again in ${restartMs / 1_000} s`),
  };

  function begin(name: string, command: readonly string[], env: ChildPlan['env'] = {}): Child {
    const child = new Child({ name, command, env, log: join(folder, 'logs', `${name}.log`) }, deps);
    children.set(name, child);
    child.start();
    return child;
  }

  async function stop(): Promise<void> {
    // Who uses a part ends before it.
    for (const names of [agents.map(({ id }) => id), servers, ['history'], members])
      await Promise.all(names.map((name) => children.get(name)?.stop()));
    held.close();
  }

  try {
    await checkFree(folder, ports);
    await startEtcd();
    historyUrl = await startHistory();
    const kv = ['--kv', `etcd://${members.map((name) => `127.0.0.1:${ports[`${name}-client`]}`).join(',')}`];
    const stores = [...kv, '--history', historyUrl];
    const quiet = ['--log-level', 'info'];
    for (const name of servers)
      begin(
        name,
        [process.execPath, cli, 'server', ...stores, '--listen', `127.0.0.1:${ports[name]}`, ...quiet],
        {
          CRONFLEET_FLEET: folder,
        },
      );
    for (const name of servers) await answers(`${url(name)}/api/v1/health`, name);
    if (!(await isGood(token))) {
      const create = ['token', 'create', 'fleet', '--role', 'admin', '--direct'];
      token = (await run(process.execPath, [cli, ...create, ...kv])).stdout.trim();
    }
    for (const { id, labels } of agents)
      begin(id, [
        ...[process.execPath, cli, 'agent', '--id', id, '--labels', labels],
        ...['--data', join(folder, 'agents', id), ...stores, ...quiet],
      ]);
    deps.changed();
    return { file, stop };
  } catch (error) {
    await stop();
    throw error;
  }

  async function startEtcd(): Promise<void> {
    const programs = await findEtcd();
    if ('missing' in programs) throw new Error(`no etcd: ${programs.missing}`);
    const cluster = members.map((name) => `${name}=${url(`${name}-peer`)}`).join(',');
    for (const name of members)
      begin(name, [
        programs.etcd,
        ...memberArguments(
          {
            name,
            data: join(folder, 'etcd', name),
            client: url(`${name}-client`),
            peer: url(`${name}-peer`),
            metrics: url(`${name}-metrics`),
            cluster,
          },
          ['--auto-compaction-mode=periodic', '--auto-compaction-retention=1h'],
        ),
      ]);
    for (const name of members) await answers(`${url(`${name}-metrics`)}/health`, name);
  }

  async function startHistory(): Promise<string> {
    const program = await findMongoProgram();
    if ('missing' in program) throw new Error(program.missing);
    const at = `mongodb://127.0.0.1:${ports.history}`;
    begin('history', serverCommand(program, { folder: join(folder, 'history'), port: ports.history ?? 0 }));
    await untilReady('history', async () => {
      if (program.kind === 'mongod') await beginSet(at);
      else await reaches(ports.history ?? 0);
    });
    return `${at}/cronfleet`;
  }

  async function isGood(known: string): Promise<boolean> {
    if (known === '') return false;
    const answer = await fetch(`${url('server1')}/api/v1/me`, {
      headers: { authorization: `Bearer ${known}` },
    });
    return answer.ok;
  }

  function answers(at: string, name: string): Promise<void> {
    return untilReady(name, async () => {
      const answer = await fetch(at, { signal: AbortSignal.timeout(2_000) });
      if (!answer.ok) throw new Error(`${at} answers ${answer.status}`);
    });
  }

  /** Asks until it is ready. Throws, with what it says last, where that takes too long. */
  async function untilReady(name: string, ask: () => Promise<void>): Promise<void> {
    const until = performance.now() + readyMs;
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (performance.now() > until)
          throw new Error(
            `${name} was not ready within ${readyMs / 1_000} s; ${join(folder, 'logs', `${name}.log`)} says why`,
            {
              cause: error,
            },
          );
      }
      await sleep(50);
    }
  }
}

async function reaches(port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
