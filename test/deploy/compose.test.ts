import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { settingNames } from '#agent/settings.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { release } from './releases.ts';

/** The Compose Specification's own, as dclint brings it. */
const { $schema: _, ...schema } = JSON.parse(
  readFileSync(join(projectFolder, 'node_modules/dclint/schemas/compose.schema.json'), 'utf8'),
);
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
const right = ajv.compile(schema);
const file = join(projectFolder, 'infra/release/compose.yaml');
const read = () => parse(readFileSync(file, 'utf8'), { merge: true });

/** Docker's own reading needs its program, not its daemon. */
const hasCompose = spawnSync('docker', ['compose', 'version']).status === 0;
if (!hasCompose)
  console.log(
    'LEFT OUT: docker compose is not here: the file is held to its schema only, and no container of it was started',
  );

describe('the compose file', { timeout: 240_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'compose-'));
  let unpacked: string;
  before(async () => {
    unpacked = await release(folder, 'cronfleet-server', '1.0.0', process.execPath);
  });
  after(() => rmSync(folder, { recursive: true }));

  it('is right by the schema of the Compose Specification', () => {
    assert.ok(right(read()), ajv.errorsText(right.errors));
  });

  if (hasCompose)
    it('is taken by docker compose itself', () => {
      const args = ['compose', '-f', join(unpacked, 'compose.yaml'), 'config', '--quiet'];
      const { status, stderr } = spawnSync('docker', args, { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    });

  it('would be found wrong: an unknown key, a port of the wrong kind', () => {
    assert.ok(right(read()));
    for (const wrong of [{ restrat: 'always' }, { ports: [{ target: true }] }]) {
      const compose = read();
      Object.assign(compose.services.nginx, wrong);
      assert.equal(right(compose), false);
    }
  });

  it('mounts what lies beside it in the release, or what it tells people to put there', () => {
    const { services, volumes } = read();
    const sources = Object.values<{ volumes?: string[] }>(services).flatMap((one) =>
      (one.volumes ?? []).map((text) => text.split(':')[0] ?? ''),
    );
    for (const source of sources) {
      if (source.startsWith('.')) assert.ok(source === './tls' || existsSync(join(unpacked, source)), source);
      else assert.ok(source in volumes, source);
    }
    assert.ok(existsSync(join(unpacked, 'compose.yaml')));
  });

  it('starts a program that is in there, with settings that it knows', () => {
    const { services } = read();
    for (const name of ['server-1', 'server-2']) {
      const { command, environment } = services[name];
      assert.ok(existsSync(command[0].replace('/opt/cronfleet', unpacked)), command[0]);
      for (const variable of Object.keys(environment)) {
        const setting = variable.replace('CRONFLEET_', '').toLowerCase().replaceAll('_', '-');
        assert.ok((settingNames as string[]).includes(setting), variable);
      }
    }
  });

  it('gives nginx the configuration that ships, with both servers for its masters', () => {
    const { services } = read();
    const [, , script] = services.nginx.command;
    let conf = readFileSync(join(unpacked, 'nginx/cronfleet.conf'), 'utf8');
    for (const [, from = '', to = ''] of script.matchAll(/s\/(.*?)\/(.*?)\//g))
      conf = conf.replaceAll(new RegExp(from, 'g'), to);
    const masters = [...conf.matchAll(/^ +server ([^:;]+):(\d+)/gm)].map(
      ([, host, port]) => `${host}:${port}`,
    );
    // Each of them twice: first, and where none is left.
    assert.deepEqual(masters, ['server-1:8787', 'server-2:8787', 'server-1:8787', 'server-2:8787']);
    assert.ok(masters.every((one) => (one.split(':')[0] ?? '') in services));
  });
});
