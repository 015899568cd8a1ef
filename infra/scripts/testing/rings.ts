import { availableParallelism } from 'node:os';
import { filesUnder } from '../sources/project-files.ts';

export interface Ring {
  name: string;
  /** What its tests are about, for `npm test -- --help`. */
  about: string;
  /** Files at a time. One where tests watch real time and would disturb each other. */
  concurrency: number;
  /** The reason why it cannot run on this machine, if there is one. */
  missing?: () => Promise<string | undefined>;
}

const atOnce = Math.max(2, availableParallelism());

/** In the order in which they run: the quick and the telling first. */
export const rings: readonly Ring[] = [
  { name: 'unit', about: 'pure functions and single parts', concurrency: atOnce },
  { name: 'contract', about: 'one suite per port, against every implementation', concurrency: atOnce },
  { name: 'sim', about: 'many agents, a virtual clock, one seed one history', concurrency: atOnce },
  { name: 'api', about: 'routes without a socket', concurrency: atOnce },
  { name: 'lambda', about: 'functions, by events of API Gateway', concurrency: 1 },
  {
    name: 'etcd',
    about: 'the driver and what runs on it, against real etcd servers',
    // Mostly they wait: for a lease's end, a token's, a connection's.
    concurrency: 2,
    missing: missingEtcd,
  },
  {
    name: 'mongo',
    about: 'History on a real MongoDB server, or the stand-in',
    concurrency: 1,
    missing: missingMongo,
  },
  {
    name: 'cloud',
    about: 'the functions as they ship, on real stores',
    concurrency: 1,
    missing: async () => (await missingEtcd()) ?? (await missingMongo()),
  },
  {
    name: 'infra',
    about: 'the cloud deployment: its program under mocks, its types, settings and site against moto',
    concurrency: 1,
    missing: missingInfra,
  },
  {
    name: 'deploy',
    about:
      'releases as they are installed, under systemd and without, and behind nginx; what Prometheus is given',
    concurrency: 1,
    missing: async () => (await missingEtcd()) ?? (await missingMongo()) ?? (await missingHosts()),
  },
  { name: 'agent', about: 'real processes of one machine', concurrency: 1 },
  {
    name: 'fleet',
    about: 'etcd, MongoDB, servers and agents as processes of their own, and faults for all of them',
    concurrency: 1,
    missing: async () => (await missingEtcd()) ?? (await missingMongo()),
  },
  { name: 'bundle', about: 'what ships, alone in an empty folder', concurrency: 1 },
  { name: 'browser', about: 'the site in a real Chromium', concurrency: 1, missing: missingBrowser },
];

/** `npm test -- fast`: what a person runs after every change. */
export const fastRings: readonly string[] = ['unit', 'contract', 'api'];

export function filesOf(ring: Ring): string[] {
  return filesUnder(`test/${ring.name}`).filter((path) => path.endsWith('.test.ts'));
}

async function missingBrowser(): Promise<string | undefined> {
  const { findChromium } = await import('#test/browser/chromium.ts');
  const found = findChromium();
  return 'missing' in found ? found.missing : undefined;
}

/** What can be fetched is fetched here, once, and not by the first test of several. */
async function missingEtcd(): Promise<string | undefined> {
  const { etcdsToTry } = await import('#test/etcd/servers.ts');
  const found = await etcdsToTry();
  return 'missing' in found ? found.missing : undefined;
}

async function missingInfra(): Promise<string | undefined> {
  const { missingForInfra } = await import('#test/infra/needs.ts');
  return await missingForInfra();
}

async function missingMongo(): Promise<string | undefined> {
  const { serverToUse } = await import('#infra/mongo/use-server.ts');
  const found = await serverToUse();
  return 'missing' in found ? found.missing : undefined;
}

/** Of what runs on the hosts of a fleet beside us: systemd's own check of units, nginx, and Prometheus's check of rules. */
async function missingHosts(): Promise<string | undefined> {
  const { findAnalyzer } = await import('#infra/deploy/find-systemd.ts');
  const { findNginx } = await import('#infra/deploy/find-nginx.ts');
  const { findPromtool } = await import('#infra/deploy/find-promtool.ts');
  const found = [await findAnalyzer(), await findNginx(), await findPromtool()];
  return found.flatMap((one) => ('missing' in one ? [one.missing] : []))[0];
}
