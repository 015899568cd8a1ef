import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { effort } from '#test/effort.ts';
import { chaos } from './chaos.ts';
import { report } from './report.ts';

const notRunMark = 'NOT RUN HERE: ';

describe('a fleet of real processes under faults', () => {
  it('starts no instant twice, accounts for each, and is on time again afterwards', async () => {
    const lines: string[] = [];
    const verdict = await chaos({
      // One that pulls the cable, for longer than a lease lasts.
      seed: 5,
      faultMs: effort(30_000, 120_000),
      agents: 3,
      tell(line) {
        lines.push(line);
        if (line.startsWith(notRunMark)) console.log(line);
      },
    });
    console.log(report(verdict));
    assert.deepEqual(verdict.breaches, [], lines.join('\n'));
    assert.ok(verdict.started > 50);
    assert.ok(lines.some((line) => line.startsWith(notRunMark) || line.includes('agent-unplugged')));
  });
});
