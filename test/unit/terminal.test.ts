import assert from 'node:assert/strict';
import { it } from 'node:test';
import { asTerminal } from '#core/model/as-terminal.ts';

it('shows a log as a terminal would: no escape sequences, lines begun anew by a carriage return', () => {
  assert.equal(asTerminal('\u001b[31mred\u001b[0m\n'), 'red\n');
  assert.equal(asTerminal('10 %\r50 %\r100 %\ndone\r\n'), '100 %\ndone\n');
  assert.equal(asTerminal('longer\rab'), 'abnger');
});
