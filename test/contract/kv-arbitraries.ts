import fc from 'fast-check';
import type { Compare, Op, Txn } from '#core/ports/kv.ts';

// Random requests over a few keys of two prefixes, nested, with leases named by small numbers.

const key = fc.constantFrom('k/a', 'k/b', 'k/c', 'k/d', 'l/a', 'l/b');
export const range: fc.Arbitrary<{ key: string; end?: string }> = fc
  .record({ key, end: fc.option(fc.constantFrom('k/b', 'k/c', 'k0', 'l/b', 'l0'), { nil: undefined }) })
  .map(({ key, end }) => ({ key, ...(end !== undefined && { end }) }));
const value = fc.constantFrom('', 'u', 'v', 'w');
const revision = fc.nat({ max: 30 }).map(String);
const operator = fc.constantFrom<'=' | '!=' | '<' | '>'>('=', '!=', '<', '>');
const compare: fc.Arbitrary<Compare> = fc
  .tuple(
    range,
    operator,
    fc.oneof(
      fc.record({
        target: fc.constantFrom<'create' | 'mod'>('create', 'mod'),
        revision: fc.oneof(fc.constant('0'), revision),
      }),
      fc.record({ target: fc.constant<'version'>('version'), version: fc.nat({ max: 3 }) }),
      fc.record({ target: fc.constant<'value'>('value'), value }),
    ),
  )
  .map(([where, op, what]) => ({ ...where, op, ...what }));
const lease = fc.option(fc.nat({ max: 6 }).map(String), { nil: undefined, freq: 3 });
export const { txn } = fc.letrec<{ op: Op; txn: Txn }>((tie) => ({
  op: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc
      .record({ key, value, lease })
      .map(
        ({ key, value, lease }): Op => ({ type: 'put', key, value, ...(lease !== undefined && { lease }) }),
      ),
    range.map((where): Op => ({ type: 'delete', ...where })),
    fc
      .tuple(range, fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }))
      .map(([where, limit]): Op => ({ type: 'range', ...where, ...(limit !== undefined && { limit }) })),
    tie('txn').map((txn): Op => ({ type: 'txn', txn })),
  ),
  txn: fc.record({
    compare: fc.array(compare, { maxLength: 2 }),
    then: fc.array(tie('op'), { maxLength: 4 }),
    else: fc.array(tie('op'), { maxLength: 2 }),
  }),
}));
