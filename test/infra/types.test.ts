import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';

const tsc = join(projectFolder, 'node_modules/.bin/tsc');
const check = (config: string) =>
  promisify(execFile)(tsc, ['-p', config], {
    cwd: projectFolder,
    env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' },
  }).then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  );

describe("the deployment's program, by SST's true types", () => {
  it('is right', async () => {
    assert.equal(await check('infra/aws/tsconfig.json'), '');
  });

  it('would be told of a wrong schedule, a wrong size and an output taken for a text', async () => {
    const folder = mkdtempSync(join(projectFolder, '.sst/types-'));
    try {
      const settings = JSON.parse(readFileSync(join(projectFolder, 'infra/aws/tsconfig.json'), 'utf8'));
      writeFileSync(
        join(folder, 'tsconfig.json'),
        JSON.stringify({ ...settings, files: ['../../sst.config.ts', 'wrong.ts'], include: [] }),
      );
      writeFileSync(
        join(folder, 'wrong.ts'),
        `new sst.aws.CronV2('A', { schedule: 'every minute', function: 'x.handler' });
new sst.aws.Function('B', { handler: 'x.handler', memory: '1 MB 2' });
const url: string = new sst.aws.Router('C').url;
export { url };
`,
      );
      const said = await check(join(folder, 'tsconfig.json'));
      for (const line of [1, 2, 3])
        assert.match(said, new RegExp(`wrong\\.ts\\(${line},\\d+\\): error TS`), said);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
