import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { armRefusal } from '#agent/runner/faults.ts';

const root = mkdtempSync(join(tmpdir(), 'cronfleet-short-'));
after(() => rmSync(root, { recursive: true }));
const script = new URL('runner-short-child.ts', import.meta.url).pathname;

function sh(text: string, ...args: string[]): { status: number | null; said: string } {
  const ran = spawnSync('/bin/sh', ['-c', text, 'sh', process.execPath, script, ...args], {
    encoding: 'utf8',
  });
  return { status: ran.status, said: `${ran.stdout}${ran.stderr}` };
}

describe('runner: where the host runs short', () => {
  it('refuses by name on a full disk, and tells the end of what was armed or ran before', () => {
    // A small disk in a mount namespace of its own, which goes with its process; where none may be had, the refusal alone.
    const own = process.getuid?.() === 0 ? 'unshare -m' : 'unshare -rm';
    const can = spawnSync('/bin/sh', ['-c', `${own} mount -t tmpfs none ${root}`]).status === 0;
    if (!can) {
      const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      assert.equal(armRefusal(full, root).code, 'disk_full');
      return;
    }
    const { status, said } = sh(
      `exec ${own} /bin/sh -c 'mount -t tmpfs -o size=256k none "$0" && exec "$1" "$2" "$0/runner" disk' ${root} "$1" "$2"`,
    );
    assert.equal(status, 0, said);
  });

  it('refuses by name when open files run out, and goes on when there are some again', () => {
    const { status, said } = sh('ulimit -n 64; exec "$1" "$2" "$3" files', join(root, 'files'));
    assert.equal(status, 0, said);
  });

  it('throws a fault through that is none of the host', () => {
    const fault = new Error('a bug');
    assert.throws(() => armRefusal(fault, root), fault);
  });
});
