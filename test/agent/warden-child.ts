import { writeSync } from 'node:fs';
import { RunnerHost } from './runner-host.ts';

// An agent of which only the runner is there, with a run that must not outlive the lease, and one that may: it says `there` when
// both do, and waits to be killed.
//   warden-child.ts DIR LEASE_MS COMMAND

const [dir = '', leaseMs = '', command = ''] = process.argv.slice(2);
const host = await new RunnerHost({}, dir).adopt();
// Long enough for both to be up: it counts from then on.
host.runner.lease(host.clock.boot() + 600_000);
const ward = await host.begin('ward', { command, onLeaseLoss: 'kill', killGrace: '200ms' });
const free = await host.begin('free', { command });
for (const run of [ward, free]) await host.ledger.says(run, 'up ');
host.runner.lease(host.clock.boot() + Number(leaseMs));
writeSync(1, 'there\n');
setInterval(() => {}, 60_000);
