import { spawn } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** An etcd server that can be started here, with its command line. */
export interface EtcdPrograms {
  /** Such as 3.4.23. */
  version: string;
  etcd: string;
  etcdctl: string;
  /** Restores snapshots from 3.6 on; before, etcdctl does. */
  etcdutl: string | null;
}

export interface Missing {
  missing: string;
}

/** Pinned, so that a test means the same tomorrow; the oldest that is supported is Debian's. */
export const currentVersion = '3.7.3';

const cache = fileURLToPath(new URL('../../.cache/etcd', import.meta.url));

/**
 * The first that can be had without a hand: in PATH, fetched earlier, Debian's packages (unpacked, not installed), built from
 * the Go modules. What is fetched stays in the project's .cache.
 */
export async function findEtcd(): Promise<EtcdPrograms | Missing> {
  const found = (await inPath()) ?? (await fetched('debian')) ?? (await fetched('current'));
  if (found) return found;
  const debian = await debianEtcd();
  if (!('missing' in debian)) return debian;
  const current = await currentEtcd();
  if (!('missing' in current)) return current;
  return { missing: `no etcd in PATH; ${debian.missing}; ${current.missing}` };
}

/** Debian's own, 3.4: the oldest that cronfleet works with. */
export async function debianEtcd(): Promise<EtcdPrograms | Missing> {
  return (await fetched('debian')) ?? obtain('debian', unpackDebian);
}

/** A current release, built from its Go modules: some two minutes the first time. */
export async function currentEtcd(): Promise<EtcdPrograms | Missing> {
  return (await fetched('current')) ?? obtain('current', buildCurrent);
}

type Kind = 'debian' | 'current';
const folderOf = (kind: Kind) => join(cache, kind === 'current' ? `current-${currentVersion}` : kind);

async function inPath(): Promise<EtcdPrograms | null> {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const found = await programsIn(folder);
    if (found) return found;
  }
  return null;
}

function fetched(kind: Kind): Promise<EtcdPrograms | null> {
  return programsIn(folderOf(kind));
}

async function programsIn(folder: string): Promise<EtcdPrograms | null> {
  const [etcd, etcdctl, etcdutl] = ['etcd', 'etcdctl', 'etcdutl'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  if (!isExecutable(etcd) || !isExecutable(etcdctl)) return null;
  const told = await run(folder, [etcd, '--version']);
  const version = /etcd Version: (\S+)/.exec(told.output)?.[1];
  return version === undefined
    ? null
    : { version, etcd, etcdctl, etcdutl: isExecutable(etcdutl) ? etcdutl : null };
}

/** Makes the programs in a folder of their own, which takes its name when it is complete: two that fetch at once do no harm. */
async function obtain(
  kind: Kind,
  make: (work: string, into: string) => Promise<string | null>,
): Promise<EtcdPrograms | Missing> {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'making-'));
  try {
    const into = join(work, 'programs');
    mkdirSync(into);
    const problem = await make(work, into);
    if (problem !== null) return { missing: problem };
    if (!existsSync(folderOf(kind))) renameSync(into, folderOf(kind));
  } catch (error) {
    // Somebody else's folder came first: it holds the same.
    if (!existsSync(folderOf(kind))) throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return (await fetched(kind)) ?? { missing: `${folderOf(kind)}: etcd in it does not run here` };
}

async function unpackDebian(work: string, into: string): Promise<string | null> {
  const packages = ['etcd-server', 'etcd-client'];
  if ((await run(work, ['apt-get', '--version'])).code !== 0)
    return "Debian's package needs apt-get, which is not here";
  let got = await run(work, ['apt-get', 'download', ...packages]);
  if (got.code !== 0 && process.getuid?.() === 0) {
    // Lists that are empty, as in a fresh container, or older than the archive.
    await run(work, ['apt-get', 'update']);
    got = await run(work, ['apt-get', 'download', ...packages]);
  }
  if (got.code !== 0)
    return `apt-get download ${packages.join(' ')} failed (${lastLine(got.output)}; are its lists there? apt-get update)`;
  const unpacked = await run(work, ['sh', '-ec', 'for file in *.deb; do dpkg -x "$file" root; done']);
  if (unpacked.code !== 0) return `dpkg -x failed: ${lastLine(unpacked.output)}`;
  for (const name of ['etcd', 'etcdctl']) renameSync(join(work, 'root/usr/bin', name), join(into, name));
  return null;
}

/** `go install pkg@version` refuses etcd's modules for their replace lines; an empty module that requires them builds. */
async function buildCurrent(work: string, into: string): Promise<string | null> {
  if ((await run(work, ['go', 'version'])).code !== 0)
    return `a build of etcd ${currentVersion} needs Go, which is not here`;
  const module = join(work, 'module');
  mkdirSync(module);
  writeFileSync(join(module, 'go.mod'), 'module cronfleet.invalid/etcd\n\ngo 1.24\n');
  const parts = ['server', 'etcdctl', 'etcdutl'].map((part) => `go.etcd.io/etcd/${part}/v3`);
  for (const args of [
    ['get', ...parts.map((part) => `${part}@v${currentVersion}`)],
    ['build', '-mod=mod', '-trimpath', '-ldflags=-s -w', '-o', `${into}/`, ...parts],
  ]) {
    const ran = await run(module, ['go', ...args]);
    if (ran.code !== 0) return `go ${args[0]} of etcd ${currentVersion} failed: ${lastLine(ran.output)}`;
  }
  renameSync(join(into, 'server'), join(into, 'etcd'));
  return null;
}

/** Ends within ten minutes. Go's and apt's own folders lie in the home folder; where there is none, in our cache. */
function run(
  cwd: string,
  [command = '', ...args]: readonly string[],
): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      timeout: 600_000,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...(isWritable(homedir()) ? {} : goFolders), ...process.env, CGO_ENABLED: '0' },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    child.on('error', ({ message }) => resolve({ code: 127, output: message }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

const goFolders = { GOPATH: join(cache, 'go'), GOCACHE: join(cache, 'go-build') };

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() || 'without a word';
}

function isWritable(path: string): boolean {
  return may(path, constants.W_OK);
}

function isExecutable(path: string): boolean {
  return may(path, constants.X_OK);
}

function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    // Not there or not ours: no use either way.
    return false;
  }
}
