import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyJobs } from '#core/cluster/apply.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { decode, OwedValue } from '#core/cluster/records.ts';
import type { Job } from '#core/model/job.ts';
import type { Run } from '#core/model/run.ts';
import type { History } from '#core/ports/history.ts';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import { type Cluster, startCluster } from '#infra/etcd/cluster.ts';
import { findEtcd } from '#infra/etcd/programs.ts';
import { Child } from '#infra/fleet/child.ts';
import { freePorts } from '#infra/free-ports.ts';
import { type MongoServer, startMongo } from '#infra/mongo/start-server.ts';
import { isCi } from '#test/effort.ts';
import { type Proxy as Line, startProxy } from '#test/etcd/proxy.ts';
import { until } from '#test/until.ts';
import { lastWords } from './last-words.ts';
import { type Link, openLink } from './link.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;

export interface YardAgent {
  id: string;
  child: Child;
  /** Its lines to the etcd members; of one alone in a network namespace the one to History, too. */
  lines: readonly Line[];
  /** The one cable that all it has to do with others goes through, where it is alone in a network namespace. */
  link: Link | null;
}

/** Real servers and processes, each of which can be hurt by itself. */
export class Yard {
  readonly folder: string;
  readonly layout = layoutOf();
  readonly cluster: Cluster;
  readonly agents: YardAgent[] = [];
  readonly servers: Child[] = [];
  readonly #lives: Child[] = [];
  readonly kv: Kv;
  readonly history: History;
  readonly historyUrl: string;
  readonly mongoPort: number;
  #mongo: MongoServer;
  #token = '';
  #urls: string[] = [];

  private constructor(
    folder: string,
    cluster: Cluster,
    mongo: MongoServer,
    stores: { kv: Kv; history: History },
  ) {
    this.folder = folder;
    this.cluster = cluster;
    this.#mongo = mongo;
    this.mongoPort = mongo.port;
    this.historyUrl = `${mongo.url}/cronfleet`;
    this.kv = stores.kv;
    this.history = stores.history;
  }

  static async open(members: 1 | 3 = 3): Promise<Yard> {
    const programs = await findEtcd();
    if ('missing' in programs) throw new Error(programs.missing);
    const folder = mkdtempSync(join(tmpdir(), 'cronfleet-yard-'));
    mkdirSync(join(folder, 'logs'));
    const ends: (() => Promise<void>)[] = [];
    try {
      const cluster = await startCluster({ programs, members });
      ends.push(() => cluster.stop());
      // One that nobody is given while the server is down.
      const [port = 0] = await freePorts(1);
      const mongo = await startMongo({ folder: join(folder, 'history'), port });
      if ('missing' in mongo) throw new Error(mongo.missing);
      ends.push(() => mongo.stop('SIGKILL'));
      const clock = systemClock();
      return new Yard(folder, cluster, mongo, {
        kv: await openKv(`etcd://${cluster.endpoints}`, clock, systemIds()),
        history: await openHistory(`${mongo.url}/cronfleet`, clock),
      });
    } catch (error) {
      for (const end of ends) await end();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  #child(
    name: string,
    args: readonly string[],
    {
      env = {},
      node = [],
      behind = [],
    }: { env?: Record<string, string>; node?: readonly string[]; behind?: readonly string[] } = {},
  ): Child {
    const command = [...behind, process.execPath, ...node, main, ...args, '--log-level', 'debug'];
    const log = join(this.folder, 'logs', `${name}.log`);
    return new Child(
      { name, command, env, log },
      // Only who hurts it says when it comes again.
      { restartMs: 86_400_000, stopMs: 20_000, changed() {}, died() {} },
    );
  }

  async addAgent(id: string, labels = ''): Promise<YardAgent> {
    const lines = await Promise.all(this.cluster.members.map(({ endpoint }) => startProxy(endpoint)));
    return this.#agent({ id, labels, lines, link: null, history: this.historyUrl });
  }

  /** One in a network namespace of its own, whose cable may be pulled; `missing`: why there can be none here. */
  async addFarAgent(id: string, labels = ''): Promise<YardAgent | { missing: string }> {
    const servers = [...this.cluster.members.map(({ endpoint }) => endpoint), `127.0.0.1:${this.mongoPort}`];
    const link = await openLink(servers.length);
    if ('missing' in link) return link;
    const lines = await Promise.all(servers.map((server, at) => startProxy(server, link.listeners[at])));
    // Directly: a replica set names its members by addresses that are nobody's over there.
    const history = `mongodb://${lines.at(-1)?.endpoint}/cronfleet?directConnection=true`;
    return this.#agent({ id, labels, lines, link, history });
  }

  #agent(how: {
    id: string;
    labels: string;
    lines: readonly Line[];
    link: Link | null;
    history: string;
  }): YardAgent {
    const { id, labels, lines, link, history } = how;
    const members = lines.slice(0, this.cluster.members.length);
    const kv = `etcd://${members.map(({ endpoint }) => endpoint).join(',')}`;
    const child = this.#child(
      id,
      [
        ...['agent', '--id', id, '--data', join(this.folder, id), '--kv', kv, '--history', history],
        ...(labels === '' ? [] : ['--labels', labels]),
      ],
      { behind: link?.behind ?? [] },
    );
    child.start();
    const agent = { id, child, lines, link };
    this.agents.push(agent);
    return agent;
  }

  /** One life of the agent whose data folder it is, with its own line to the stores; `node`: what its program is loaded behind. */
  life(
    id: string,
    data: string,
    how: { env?: Record<string, string>; node?: readonly string[] } = {},
  ): Child {
    const stores = ['--kv', `etcd://${this.cluster.endpoints}`, '--history', this.historyUrl];
    const child = this.#child(id, ['agent', '--id', id, '--data', data, ...stores], how);
    child.start();
    this.#lives.push(child);
    return child;
  }

  /** Makes the fleet's jobs these and no others. */
  async setJobs(jobs: readonly Job[]): Promise<void> {
    const store = { kv: this.kv, layout: this.layout, now: Date.now };
    await applyJobs(store, jobs, { by: 'test', dryRun: false, prune: 'default' });
  }

  async addServers(ports: readonly number[]): Promise<void> {
    const kv = ['--kv', `etcd://${this.cluster.endpoints}`];
    const stores = [...kv, '--history', this.historyUrl];
    const { execFileSync } = await import('node:child_process');
    const create = ['token', 'create', 'test', '--role', 'admin', '--direct', ...kv];
    this.#token = execFileSync(process.execPath, [main, ...create], { encoding: 'utf8' }).trim();
    for (const port of ports) {
      const child = this.#child(`server-${port}`, ['server', '--listen', `127.0.0.1:${port}`, ...stores]);
      child.start();
      this.servers.push(child);
      this.#urls.push(`http://127.0.0.1:${port}`);
    }
    for (const at of ports.keys()) await this.untilAnswers(at);
  }

  async untilAnswers(server: number): Promise<void> {
    await until(
      `server ${server} to answer`,
      () =>
        fetch(`${this.#urls[server]}/api/v1/health`, { signal: AbortSignal.timeout(15_000) }).then(
          ({ status }) => status,
          String,
        ),
      (answer) => answer === 200,
    );
  }

  /** One request to one server; throws where nobody answers. */
  async ask(
    server: number,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: unknown }> {
    const answer = await fetch(`${this.#urls[server]}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(15_000),
    });
    return { status: answer.status, body: await answer.json() };
  }

  async killHistory(): Promise<void> {
    await this.#mongo.stop('SIGKILL');
  }

  async restartHistory(): Promise<void> {
    const again = await startMongo({ folder: join(this.folder, 'history'), port: this.mongoPort });
    if ('missing' in again) throw new Error(again.missing);
    this.#mongo = again;
  }

  /** Every record that History holds, and those that are owed to it. */
  async records(): Promise<Run[]> {
    const runs = new Map<string, Run>();
    const { entries } = await this.kv.range(prefixRange(this.layout.owed));
    for (const entry of entries) {
      const read = decode(OwedValue, entry);
      if (read.ok) runs.set((read.value.run as unknown as Run).id, read.value.run as unknown as Run);
    }
    for (let cursor: string | undefined; ; ) {
      const page = await this.history.runs({ limit: 500, ...(cursor === undefined ? {} : { cursor }) });
      for (const run of page.items) runs.set(run.id, run);
      if (page.next === null) return [...runs.values()];
      cursor = page.next;
    }
  }

  /**
   * Ends everything. Of one that has failed the folder stays, for somebody to look into it; in CI nobody can, and what its processes said last
   * is told instead.
   */
  async close(failed = false, breaches: readonly string[] = []): Promise<void> {
    for (const { lines, link } of this.agents) {
      await link?.plug();
      for (const line of lines) line.open();
    }
    await Promise.all(
      [...this.#lives, ...this.agents.map(({ child }) => child)].map((child) => child.stop()),
    );
    await Promise.all(this.servers.map((child) => child.stop()));
    for (const { lines, link } of this.agents) {
      for (const line of lines) await line.close();
      await link?.close();
    }
    await this.kv.close();
    await this.history.close();
    await this.#mongo.stop('SIGKILL');
    await this.cluster.stop();
    const logs = join(this.folder, 'logs');
    if (failed) console.log(isCi ? lastWords(logs, breaches) : `what its processes said stands in ${logs}`);
    if (isCi || !failed) rmSync(this.folder, { recursive: true, force: true });
  }
}
