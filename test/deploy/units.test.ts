import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { findAnalyzer } from '#infra/deploy/find-systemd.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';

const found = await findAnalyzer();
if ('missing' in found) throw new Error(found.missing);
const { path, env } = found;
const units = mkdtempSync(join(tmpdir(), 'units-'));
after(() => rmSync(units, { recursive: true }));

function analyze(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(path, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, text: `${stdout}${stderr}` };
}

const from = (file: string) => join(projectFolder, 'infra/release', file);

describe('the units that ship', () => {
  before(() => {
    for (const name of ['cronfleet-agent', 'cronfleet-server']) {
      // As installed, but with a program that is there: verify looks for it.
      const text = readFileSync(from(`${name}.service`), 'utf8');
      writeFileSync(
        join(units, `${name}.service`),
        text.replaceAll(/\/opt\/cronfleet-\w+\/current\/bin\/cronfleet/g, process.execPath),
      );
    }
  });

  for (const name of ['cronfleet-agent', 'cronfleet-server'])
    it(`${name}.service is found right by systemd-analyze verify, without a word`, () => {
      const { status, text } = analyze(
        'verify',
        '--man=no',
        '--recursive-errors=no',
        join(units, `${name}.service`),
      );
      assert.deepEqual([status, text], [0, '']);
    });

  it('verify finds what is wrong', () => {
    const wrong = join(units, 'wrong.service');
    writeFileSync(
      wrong,
      `${readFileSync(join(units, 'cronfleet-agent.service'), 'utf8')}\n[Service]\nDelgate=yes\n`,
    );
    assert.match(analyze('verify', '--man=no', wrong).text, /Delgate/);
  });

  /** As `systemd-analyze security` counts: 0 is closed, 10 open. What is higher than before has to be meant. */
  const exposure: readonly (readonly [unit: string, dropIn: string | null, atMost: number])[] = [
    ['cronfleet-server', null, 1.4],
    ['cronfleet-agent', 'strict', 2.4],
    // Jobs run in it: whatever it forbids is forbidden to them.
    ['cronfleet-agent', null, 9.2],
  ];
  for (const [name, dropIn, atMost] of exposure)
    it(`${name}${dropIn ? ` with ${dropIn}.conf` : ''} is exposed at most ${atMost}`, () => {
      const place = join(units, `security-${name}-${dropIn}`);
      const unit = join(place, `${name}.service`);
      mkdirSync(join(place, `${name}.service.d`), { recursive: true });
      copyFileSync(join(units, `${name}.service`), unit);
      if (dropIn) copyFileSync(from(`${dropIn}.conf`), join(place, `${name}.service.d/${dropIn}.conf`));
      const { status, text } = analyze(
        'security',
        '--offline=true',
        `--threshold=${atMost * 10}`,
        '--no-pager',
        unit,
      );
      assert.equal(status, 0, text.split('\n').slice(-4).join('\n'));
      const [, score] = /exposure level for \S+: ([\d.]+)/.exec(text) ?? [];
      // A ceiling that nothing comes near says nothing.
      assert.ok(Number(score) > atMost - 0.3, `exposed ${score}: lower the ceiling`);
    });
});
