import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildProgram } from './build.ts';
import { projectFolder, readPackage } from './sources/project-files.ts';

type ReleaseName = 'cronfleet-agent' | 'cronfleet-server';

/** What lies beside the program, by name: files of infra/release. */
const files: Record<ReleaseName, readonly string[]> = {
  'cronfleet-agent': [
    ...['cronfleet-agent.service', 'agent.yaml', 'sysusers.conf'],
    ...['strict.conf', 'root.conf', 'backoff.conf'],
  ],
  'cronfleet-server': ['cronfleet-server.service', 'server.yaml', 'backoff.conf', 'compose.yaml'],
};

/** Makes `folder` into what an archive unpacks to: the program, its installer, settings, units, and a Node where `node` names one. */
export async function buildRelease(
  name: ReleaseName,
  { folder, version, node }: { folder: string; version: string; node: string | null },
): Promise<void> {
  const isServer = name === 'cronfleet-server';
  await buildProgram(folder, { version, site: isServer });
  const from = (file: string) => join(projectFolder, 'infra/release', file);
  for (const file of ['install.sh', 'README.md', ...files[name]])
    copyFileSync(from(file), join(folder, file));
  mkdirSync(join(folder, 'bin'));
  copyFileSync(from('cronfleet'), join(folder, 'bin/cronfleet'));
  writeFileSync(join(folder, 'VERSION'), `${name} ${version}\n`);
  copyFileSync(join(projectFolder, 'infra/runbook.md'), join(folder, 'runbook.md'));
  if (isServer)
    for (const part of ['nginx', 'monitoring', 'etcd'])
      cpSync(join(projectFolder, 'infra', part), join(folder, part), {
        recursive: true,
        filter: (path) => !path.endsWith('.ts') && !path.endsWith('.md'),
      });
  if (node === null) return;
  copyFileSync(join(node, 'bin/node'), join(folder, 'bin/node'));
  copyFileSync(join(node, 'LICENSE'), join(folder, 'bin/node.LICENSE'));
}

/** The package with the Node that the project runs on, of this platform. */
export function ownNode(): string {
  const inNode = createRequire(join(projectFolder, 'node_modules/node/package.json'));
  return dirname(inNode.resolve(`node-${process.platform}-${process.arch}/package.json`));
}

/** The same bytes for the same files: nothing of the time, the user or the order of a folder gets in. */
function pack(folder: string, name: string, archive: string): void {
  const tidy = [
    '--sort=name',
    '--mtime=@0',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=u=rwX,go=rX',
  ];
  const { status, stderr } = spawnSync(
    'tar',
    ['--use-compress-program=gzip -n', ...tidy, '-cf', archive, '-C', folder, name],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`tar could not make ${archive}: ${stderr}`);
}

/** Archives of both, and their checksums, in `out`. */
async function release(out: string, withNode: boolean): Promise<string[]> {
  const { version } = readPackage();
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), 'cronfleet-release-'));
  try {
    const archives: string[] = [];
    for (const name of ['cronfleet-agent', 'cronfleet-server'] as const) {
      const folder = `${name}-${version}`;
      const node = withNode ? ownNode() : null;
      await buildRelease(name, { folder: join(work, folder), version, node });
      const archive = `${folder}${withNode ? `-${process.platform}-${process.arch}` : ''}.tar.gz`;
      pack(work, folder, join(out, archive));
      archives.push(archive);
    }
    const sums = archives.map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(out, name)))
          .digest('hex')}  ${name}\n`,
    );
    writeFileSync(join(out, 'SHA256SUMS'), sums.join(''));
    return archives;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  process.chdir(projectFolder);
  const { values } = parseArgs({
    options: { 'without-node': { type: 'boolean', default: false }, out: { type: 'string' } },
  });
  // The site builds itself where it is older than its sources.
  await import('./build-site.ts');
  const out = resolve(values.out ?? 'dist/release');
  for (const name of await release(out, !values['without-node'])) console.log(join(out, name));
}
