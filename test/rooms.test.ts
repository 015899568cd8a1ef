import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readModule } from '#infra/scripts/sources/module-text.ts';
import { readProject } from '#infra/scripts/sources/project-files.ts';
import { findBreaches, type Project } from '#infra/scripts/sources/walls.ts';

test('every file keeps to the walls between the rooms', () => {
  const project = readProject();
  assert.ok(project.sources.size > 20, 'the sources were not found');
  const breaches = findBreaches(project).map(({ path, line, message }) => `${path}:${line}  ${message}`);
  assert.equal(breaches.length, 0, `\n${breaches.join('\n')}\n`);
});

const { packages } = readProject();

/** What the walls say to one planted file; `functions/app.ts` and others stand beside it. */
function said(path: string, source: string): string[] {
  const sources = new Map([
    ['core/model/job.ts', 'export const Job = 1;'],
    ['core/ports/kv.ts', 'export const kv = 1;'],
    ['core/cluster/claim.ts', ''],
    ['functions/app.ts', ''],
    ['functions/auth.ts', ''],
    ['worker-agent/agent.ts', ''],
    ['worker-agent/main.ts', ''],
    ['test/help.ts', ''],
    [path, source],
  ]);
  const project: Project = { sources, exists: () => false, packages };
  return findBreaches(project)
    .filter((breach) => breach.path === path)
    .map(({ line, message }) => `${line}: ${message}`);
}

describe('the checker of the walls', () => {
  const planted: [name: string, path: string, source: string, expected: RegExp][] = [
    [
      'a room above',
      'core/model/x.ts',
      "import { kv } from '#core/ports/kv.ts';",
      /model may not know ports/,
    ],
    [
      'a room above, of core',
      'core/cluster/x.ts',
      "export { app } from '#functions/app.ts';",
      /cluster may not know functions/,
    ],
    [
      'a type from above',
      'core/model/x.ts',
      "import type { Kv } from '#core/ports/kv.ts';",
      /model may not know ports/,
    ],
    [
      'a value where types are allowed',
      'core/decide/x.ts',
      "import { type A, b } from '#core/ports/kv.ts';",
      /write import type/,
    ],
    [
      'a dynamic import',
      'functions/x.ts',
      "\nconst a = await import('#agent/agent.ts');",
      /^2: functions may not know agent/,
    ],
    ['a root', 'worker-agent/x.ts', "import './main.ts';", /agent may not know root/],
    ['a test', 'functions/x.ts', "import { a } from '#test/help.ts';", /may not know test/],
    [
      'more than the type of the app',
      'web/x.tsx',
      "import type { A } from '#functions/auth.ts';",
      /only functions\/app\.ts/,
    ],
    ['the app at run time', 'web/x.tsx', "import { app } from '#functions/app.ts';", /write import type/],
    [
      'a built-in in the browser',
      'core/model/x.ts',
      "import { join } from 'node:path';",
      /may not import node:path/,
    ],
    [
      'a package that the room does without',
      'core/decide/x.ts',
      "import * as v from 'valibot';",
      /package valibot/,
    ],
    ['a devDependency in what ships', 'functions/x.ts', "import fc from 'fast-check';", /devDependency/],
    [
      'a package that nobody installed',
      'functions/x.ts',
      "import x from 'left-pad/x.js';",
      /left-pad, which package.json/,
    ],
    [
      'a file that is not there',
      'core/model/x.ts',
      "import { a } from './y.ts';",
      /not there \(core\/model\/y\.ts\)/,
    ],
    [
      'a relative path across rooms',
      'core/cluster/x.ts',
      "import { Job } from '../model/job.ts';",
      /use its # alias/,
    ],
    ['a computed import', 'functions/x.ts', 'await import(name);', /only run time knows/],
    ['the wall clock', 'worker-agent/x.ts', 'const at = `${`${Date.now()}`}`;', /Date\.now/],
    ['a date of now', 'worker-agent/x.ts', 'const at = new Date();', /new Date without a time/],
    ['a date of now, barely', 'worker-agent/x.ts', 'const at = new Date;', /new Date without a time/],
    ['a timer', 'core/stores/x.ts', 'const a = 4 / 2; setTimeout(f, 1); const b = 4 / 2;', /setTimeout/],
    ['a global timer', 'core/stores/x.ts', 'globalThis.setInterval(f, 1);', /setInterval/],
    [
      'a timer of promises',
      'functions/x.ts',
      "import { setTimeout as sleep } from 'node:timers/promises';",
      /timers\/promises/,
    ],
    ['chance', 'core/cluster/x.ts', 'const x = Math.random();', /Math\.random/],
    ['an id', 'functions/x.ts', "import { randomUUID } from 'node:crypto';", /randomUUID/],
    ['the environment', 'functions/x.ts', 'const { HOME } = process.env;', /process\.env/],
    ['an exit', 'worker-agent/x.ts', 'process.exit(1);', /process\.exit/],
    ['a file of no room', 'core/x.ts', '', /no room/],
  ];
  for (const [name, path, source, expected] of planted)
    test(`catches ${name}`, () => {
      const all = said(path, source);
      assert.equal(all.length, 1, `expected one breach, got ${JSON.stringify(all)}`);
      assert.match(all[0] ?? '', expected);
    });

  const allowed: [name: string, path: string, source: string][] = [
    [
      'comments and strings',
      'core/model/x.ts',
      "// import '#functions/app.ts'\n/* Date.now() */ const a = \"import '#test/help.ts'\";",
    ],
    ['templates', 'core/model/x.ts', "const a = `import '#test/help.ts' ${'setTimeout'} process.env`;"],
    [
      'regular expressions',
      'core/model/x.ts',
      "const a = /['\"`]/.test(b) || /[/'](?:)/.test(b); import type { Job } from './job.ts';",
    ],
    ['types from a port', 'core/decide/x.ts', "import { type A, type B } from '#core/ports/kv.ts';"],
    ['the type of the app', 'web/x.tsx', "import type { App } from '#functions/app.ts';"],
    ['a time that is given', 'core/model/x.ts', 'const a = new Date(0); const b = clock.now();'],
    [
      'a method called like a timer',
      'core/model/x.ts',
      'host.setTimeout(f, 1); const a: typeof setTimeout = f;',
    ],
    ['the launcher starting a daemon', 'worker-agent/cli/x.ts', "await import('#agent/main.ts');"],
    [
      'a port of the system',
      'core/ports/system-x.ts',
      "import { a } from 'node:fs'; setTimeout(Date.now, 1);",
    ],
  ];
  for (const [name, path, source] of allowed)
    test(`lets pass ${name}`, () => assert.deepEqual(said(path, source), []));
});

test('imports and exports are read as they are written', () => {
  const { imports, exports, computed } = readModule(`
    import a, { b as c, type D } from './1.ts';
    import * as e from "./2.ts";
    import type F from './3.ts';
    import type from './4.ts';
    import './5.ts';
    export * from './6.ts';
    export { g as h, type I } from './7.ts';
    export type { J } from './8.ts';
    const k = await import('./9.ts'), l = import.meta.url, m = { import: 1, export: 2 };
    type N = typeof import('./10.ts');
    export { k as o };
    export const { p } = q, r = 1;
    export async function* s() { await import(l); }
    export abstract class T {}
    export type U = string;
    export default s;
  `);
  const read = imports.map(({ from, isType, names }) => `${from} ${isType ? 'type ' : ''}${names}`);
  assert.deepEqual(read, [
    './1.ts default,b,D',
    './2.ts *',
    './3.ts type default',
    './4.ts default',
    './5.ts ',
    './6.ts *',
    './7.ts g,I',
    './8.ts type J',
    './9.ts *',
    './10.ts type *',
  ]);
  assert.deepEqual(
    exports.map(({ name }) => name),
    ['h', 'I', 'J', 'o', 'p', 's', 'T', 'U', 'default'],
  );
  assert.equal(computed.length, 1);
});
