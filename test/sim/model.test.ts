import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { explore } from './model/explore.ts';
import { fleetModel, initial, type Without } from './model/fleet-model.ts';

/** What the smallest fleet meets in one exploration: how often of each kind. */
const troubles: Record<string, Record<string, number>> = {
  'no trouble': {},
  'an answer that is lost': { 'lost reply': 1 },
  'a request that arrives late': { late: 1 },
  'a lease that runs out, or a worker that stands still': { lapse: 1 },
  'a crash': { crash: 1 },
  'a save': { save: 1 },
  'a delete and a job made anew': { delete: 1, create: 1 },
  'a kill': { kill: 1 },
};

/** Each remedy, the trouble in which it is missed, and the row of INTERLEAVINGS.md, where it is one. */
const remedies: readonly [Without, Record<string, number>, RegExp, number?][] = [
  ['cursor compare', {}, /^P1/],
  ['deadline', { lapse: 1 }, /^P1/, 3],
  ['owner compare', { lapse: 1 }, /^P12/, 7],
  ['open intents', { late: 1 }, /^P11/, 11],
  ['cursor left alone', { save: 1 }, /^P1/, 1],
  ['cursor left alone', { delete: 1, create: 1 }, /^P1/, 2],
  ['incarnation at release', { lapse: 1 }, /^P1/, 4],
  ['key without a lease', { crash: 1 }, /^P2/],
  ['settling', { save: 1 }, /^P2/],
  ['settling', { delete: 1 }, /^P2/],
  ['cursor compare of a save', { save: 1 }, /^P2/],
  ['cursor compare of a save', { delete: 1 }, /^P1/],
];

describe('two workers, one job and two instants, explored completely', () => {
  let states = 0;
  after(() => console.log(`FIGURE: explored ${states} states of the smallest fleet`));

  for (const [name, budget] of Object.entries(troubles))
    it(`break no promise: ${name}`, async () => {
      const model = fleetModel(null);
      const explored = await explore(initial(budget), model.steps, model.wrongAtEnd);
      states += explored.states;
      assert.equal(explored.breach, null);
      assert.ok(explored.states > 1_000, `only ${explored.states} states`);
    });

  for (const [without, budget, promise, number] of remedies)
    it(`${number === undefined ? '' : `${number}: `}break one without its remedy: ${without}, ${Object.keys(budget).join(', ') || 'no trouble'}`, async () => {
      const model = fleetModel(without);
      const { breach } = await explore(initial(budget), model.steps, model.wrongAtEnd);
      assert.match(breach?.what ?? 'nothing', promise, breach?.path.join('\n'));
    });
});
