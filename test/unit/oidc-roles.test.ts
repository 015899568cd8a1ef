import assert from 'node:assert/strict';
import { it } from 'node:test';
import { forOidc, oidcOf, roleOf } from '#core/cluster/oidc-settings.ts';

const mapping = (text: string) =>
  oidcOf({
    ...forOidc(() => null),
    ...{ 'oidc-issuer': 'https://id.example.com', 'oidc-client': 'c', 'oidc-roles': text },
  })?.roles ?? [];

it('a person has the greatest role of all that their groups give, where any of these gives it', () => {
  const table: [roles: string, groups: string[], expected: ReturnType<typeof roleOf>][] = [
    ['ops=admin', ['ops'], { role: 'admin', groups: null }],
    ['ops=admin', ['dev'], null],
    ['ops=admin', [], null],
    ['ops=admin', ['OPS'], null],
    ['*=viewer', [], { role: 'viewer', groups: null }],
    ['*=viewer', ['*'], { role: 'viewer', groups: null }],
    ['ops=admin,*=viewer', ['ops'], { role: 'admin', groups: null }],
    ['ops=viewer,dev=operator,all=editor', ['ops', 'dev'], { role: 'operator', groups: null }],
    ['dev=editor:web+batch', ['dev'], { role: 'editor', groups: ['web', 'batch'] }],
    ['a=editor:web,b=editor:web+batch', ['a', 'b'], { role: 'editor', groups: ['web', 'batch'] }],
    ['a=editor:web,b=editor', ['a', 'b'], { role: 'editor', groups: null }],
    ['a=editor:web,b=viewer', ['a', 'b'], { role: 'editor', groups: ['web'] }],
    ['a=viewer:web,a=viewer:batch', ['a'], { role: 'viewer', groups: ['web', 'batch'] }],
  ];
  for (const [roles, groups, expected] of table)
    assert.deepEqual(roleOf(groups, mapping(roles)), expected, `${roles} for ${groups}`);
});
