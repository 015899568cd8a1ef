import { writeSync } from 'node:fs';
import { RunnerHost } from './runner-host.ts';

// An agent of which only the runner is there: it has a warden that nobody needs any more, and stops in good order.
//   warden-stop-child.ts DIR

const [, , dir = ''] = process.argv;
const host = await new RunnerHost({}, dir).adopt();
host.runner.lease(host.clock.boot() + 600_000);
const ward = await host.begin('ward', { command: 'true', onLeaseLoss: 'kill' });
await host.ended(ward);
await host.runner.forget(ward);
await host.runner.stop();
writeSync(1, 'stopped\n');
