import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { dirname, join } from 'node:path';
import type { EtcdPrograms } from '#infra/etcd/programs.ts';
import { freePorts } from '#infra/free-ports.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { patientEtcdctl } from '#test/etcd/scripts.ts';
import { until, within } from '#test/until.ts';

const units = { etcd: 'etcd', server: 'cronfleet-server', agent: 'cronfleet-agent', desk: null } as const;
type Kind = keyof typeof units;

/** One host as an administrator sees it: a root folder, and a unit that a service manager runs. */
export interface Host {
  name: string;
  kind: Kind;
  root: string;
  /** Where commands are run. */
  work: string;
  process: ChildProcess | null;
}

export interface Said {
  code: number | null;
  text: string;
}

/** Hosts below one folder, by the names that the runbook has for them, on ports of this machine. */
export class Estate {
  readonly folder: string;
  readonly programs: EtcdPrograms;
  readonly hosts = new Map<string, Host>();
  /** What the runbook's names stand for, the longest first. */
  readonly #names = new Map<string, string>();
  readonly #ofHost = new Map<string, Map<string, string>>();
  readonly #socket: string;
  readonly #manager: Server;

  constructor(folder: string, programs: EtcdPrograms) {
    this.folder = folder;
    this.programs = programs;
    this.#socket = join(folder, 'manager');
    this.#manager = createServer((request, response) => {
      let words = '';
      request.on('data', (piece) => {
        words += piece;
      });
      request.on('end', () => {
        this.#systemctl(request.url?.slice(1) ?? '', words).then(
          () => response.end(),
          (error: Error) => response.writeHead(500).end(`${error.message}\n`),
        );
      });
    });
  }

  async open(): Promise<void> {
    this.#manager.listen(this.#socket);
    await once(this.#manager, 'listening');
    const bin = join(this.folder, 'bin');
    mkdirSync(bin);
    const shims = {
      // The installer starts nothing in another root: what it would do then is done for it.
      sudo: 'case $1 in *=*) exec env "$@" ;; *install.sh) "$@" --root "$ESTATE_ROOT" && exec systemctl restart "$ESTATE_UNIT" ;; *) exec "$@" ;; esac',
      systemctl:
        'exec curl -sS --fail-with-body --unix-socket "$ESTATE" -d "$*" "http://estate/$ESTATE_HOST"',
      cronfleet: `exec ${this.folder}/server1/opt/cronfleet-server/current/bin/cronfleet "$@"`,
    };
    for (const [name, text] of Object.entries(shims))
      writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }

  /** A host, with the scripts for etcd as they lie on it. */
  async add(kind: Kind, name: string): Promise<Host> {
    const root = join(this.folder, name);
    const host: Host = { name, kind, root, work: join(root, 'work'), process: null };
    this.hosts.set(name, host);
    const [first = 0, second = 0, third = 0] = await freePorts(3);
    const address = name.replace('etcd', '10.0.0.');
    if (kind === 'etcd') {
      this.name(`${address}:2379`, `127.0.0.1:${first}`);
      this.name(`${address}:2380`, `127.0.0.1:${second}`);
      this.name(address, '127.0.0.1');
    }
    // Each host has its own loopback; here there is one.
    this.#ofHost.set(
      name,
      new Map([
        ['127.0.0.1:2381', `127.0.0.1:${third}`],
        ['9464', String(third)],
      ]),
    );
    for (const path of ['work', 'home', 'etc/etcd', 'opt']) mkdirSync(join(root, path), { recursive: true });
    return host;
  }

  host(name: string): Host {
    const host = this.hosts.get(name);
    if (host === undefined) throw new Error(`there is no host ${name}`);
    return host;
  }

  /** What a name of the runbook stands for. */
  name(name: string, value: string): void {
    this.#names.set(name, value);
  }

  /** A text of the runbook, or of a file that ships, as it would stand on this host. */
  asOn(host: Host, text: string): string {
    const names = [...this.#names, ...(this.#ofHost.get(host.name) ?? [])].sort(
      ([a], [b]) => b.length - a.length,
    );
    let said = text;
    for (const folder of ['/etc/cronfleet', '/etc/etcd', '/opt/cronfleet', '/var/lib/', '/var/backups'])
      said = said.replaceAll(folder, `${host.root}${folder}`);
    for (const [name, value] of names) said = said.replaceAll(name, value);
    return said;
  }

  /** Brings infra/etcd to a host. */
  bringScripts(host: Host): void {
    const from = join(projectFolder, 'infra/etcd');
    const to = join(host.root, 'opt/cronfleet-etcd');
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from).filter((file) => /\.(sh|yaml)$/.test(file))) {
      const text = readFileSync(join(from, name), 'utf8');
      writeFileSync(join(to, name), name.endsWith('.yaml') ? this.asOn(host, text) : text);
    }
  }

  bring(file: string, host: Host, to: string): void {
    mkdirSync(dirname(join(host.root, to)), { recursive: true });
    cpSync(file, join(host.root, to), { recursive: true, verbatimSymlinks: true });
  }

  /** Runs commands of the runbook on a host, as its administrator would. */
  async run(host: Host, text: string): Promise<Said> {
    const { CRONFLEET_KV: _, CRONFLEET_HISTORY: __, ...env } = process.env;
    const child = spawn('sh', ['-euc', this.asOn(host, text)], {
      cwd: host.work,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...env,
        ...{ NO_COLOR: '1', HOME: join(host.root, 'home'), CRONFLEET_DATA: join(host.root, 'home/data') },
        PATH: `${join(this.folder, 'bin')}:${dirname(this.programs.etcd)}:${process.env.PATH}`,
        ...{ ESTATE: this.#socket, ESTATE_HOST: host.name, ESTATE_ROOT: host.root },
        ESTATE_UNIT: units[host.kind] ?? '',
        ...patientEtcdctl,
      },
    });
    const said: Said = { code: null, text: '' };
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (piece: string) => {
        said.text += piece;
      });
    try {
      [said.code] = await within(`${text.trim()} on ${host.name}`, once(child, 'close'), () => said.text);
    } finally {
      child.kill('SIGKILL');
    }
    return said;
  }

  async #systemctl(name: string, words: string): Promise<void> {
    const host = this.host(name);
    const [verb, unit] = words.split(' ').filter((word) => !word.startsWith('--'));
    if (unit === undefined || unit !== units[host.kind])
      throw new Error(`Unit ${unit} not found on ${name}.`);
    if (verb !== 'start' && verb !== 'stop' && verb !== 'restart')
      throw new Error(`Unknown command ${verb}.`);
    if (verb !== 'start') await this.stop(host);
    if (verb !== 'stop') await this.start(host, words.includes('--no-block'));
  }

  /** Starts a host's unit; settles when it is ready, as Type=notify would have it. */
  async start(host: Host, noBlock = false): Promise<void> {
    if (host.process !== null) return;
    const { root, kind } = host;
    const unit = units[kind] ?? '';
    const command =
      kind === 'etcd'
        ? [this.programs.etcd, '--config-file', join(root, 'etc/etcd/etcd.conf.yaml')]
        : [
            join(root, 'opt', unit, 'current/bin/cronfleet'),
            kind,
            '--config',
            join(root, `etc/cronfleet/${kind}.yaml`),
          ];
    const [program = '', ...args] = command;
    const { CRONFLEET_KV: _, CRONFLEET_HISTORY: __, ...env } = process.env;
    const log = openSync(join(root, `${unit}.log`), 'a');
    const child = spawn(program, args, {
      cwd: host.work,
      stdio: ['ignore', kind === 'etcd' ? log : 'pipe', log],
      env: { ...env, CREDENTIALS_DIRECTORY: join(root, 'etc/cronfleet/credentials') },
    });
    closeSync(log);
    host.process = child;
    child.once('exit', () => {
      if (host.process === child) host.process = null;
    });
    if (noBlock) return;
    if (kind === 'etcd') await this.healthy(host);
    else {
      const ended = once(child, 'exit').then(() => this.#fail(host));
      const ready = Promise.race([once(child.stdout ?? child, 'data'), ended]);
      await within(`${unit} on ${host.name} to be ready`, ready, () => this.log(host).slice(-3_000));
      child.stdout?.resume();
    }
  }

  /** Ends the unit's main process and nothing else, as KillMode=process would have it. */
  async stop(host: Host, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = host.process;
    if (child === null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await within(`${host.name} to end by ${signal}`, gone, () => this.log(host).slice(-3_000));
  }

  async healthy(host: Host): Promise<void> {
    const url = this.asOn(host, 'http://127.0.0.1:2381/health');
    await until(
      `etcd on ${host.name} to be healthy`,
      () => {
        if (host.process === null) this.#fail(host);
        return fetch(url, { signal: AbortSignal.timeout(5_000) }).then((answer) => answer.text(), String);
      },
      (text) => /"health":\s*"?true/.test(text),
    );
  }

  #fail(host: Host): never {
    throw new Error(`${units[host.kind]} on ${host.name} ended; it said:\n${this.log(host).slice(-3_000)}`);
  }

  log(host: Host): string {
    const file = join(host.root, `${units[host.kind]}.log`);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  async close(): Promise<void> {
    const hosts = [...this.hosts.values()];
    for (const kind of ['agent', 'server'] as const)
      await Promise.all(hosts.filter((host) => host.kind === kind).map((host) => this.stop(host)));
    await Promise.all(hosts.map((host) => this.stop(host, 'SIGKILL')));
    this.#manager.close();
  }
}
