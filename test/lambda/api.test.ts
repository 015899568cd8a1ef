// The suites of the API, every request by an event of API Gateway.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { filesUnder } from '#infra/scripts/sources/project-files.ts';
import './use-events.ts';

const suites = {
  alerts: () => import('#test/api/alerts.test.ts'),
  audit: () => import('#test/api/audit.test.ts'),
  bodies: () => import('#test/api/bodies.test.ts'),
  'command-line': () => import('#test/api/command-line.test.ts'),
  course: () => import('#test/api/course.test.ts'),
  findings: () => import('#test/api/findings.test.ts'),
  fuzz: () => import('#test/api/fuzz.test.ts'),
  guards: () => import('#test/api/guards.test.ts'),
  'history-away': () => import('#test/api/history-away.test.ts'),
  import: () => import('#test/api/import.test.ts'),
  jobs: () => import('#test/api/jobs.test.ts'),
  past: () => import('#test/api/past.test.ts'),
  'real-provider': () => import('#test/api/real-provider.test.ts'),
  roles: () => import('#test/api/roles.test.ts'),
  runs: () => import('#test/api/runs.test.ts'),
  'sign-in': () => import('#test/api/sign-in.test.ts'),
};
/** What needs a host that streams and hands bytes over as they came. */
const notHere = ['plain-host'];

for (const [name, load] of Object.entries(suites))
  describe(name, async () => {
    await load();
  });

it('every suite of the API is among them', () => {
  const there = filesUnder('test/api').flatMap((path) => /(\w[\w-]*)\.test\.ts$/.exec(path)?.[1] ?? []);
  assert.deepEqual([...Object.keys(suites), ...notHere].sort(), there.sort());
});
