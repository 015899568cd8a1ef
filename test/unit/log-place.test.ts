import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { emptyLog, grown, type Log } from '#web/log-place.ts';

const encoder = new TextEncoder();
const part = (bytes: Uint8Array, from: number, droppedBytes = 0) => ({
  ...{ text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), from },
  ...{ next: from + droppedBytes + bytes.length, droppedBytes },
});
const lineAt = ({ text, line }: Log) => (line === null ? null : text.slice(line).split('\n')[0]);

describe('a log that one has come to for a line in it', () => {
  it('has that line, wherever it is cut into parts, and whatever characters stand before', () => {
    const text = fc
      .array(fc.constantFrom('a', 'é', '€', '😀', '\n'), { maxLength: 40 })
      .map((all) => all.join(''));
    fc.assert(
      fc.property(text, text, fc.nat(200), fc.nat(200), (before, after, from, size) => {
        const whole = encoder.encode(`${before}\nTHE LINE\n${after}`);
        const at = encoder.encode(before).length + 1;
        let log = emptyLog;
        for (let next = Math.min(from, at); next < whole.length; next += size + 9)
          log = grown(log, part(whole.subarray(next, next + size + 9), next), at);
        assert.equal(lineAt(log), 'THE LINE');
      }),
    );
  });

  it('has it behind bytes that are no text, and behind a gap', () => {
    const junk = Uint8Array.of(0x80, 0xff, 0xe2, 0x82, 0x0a, 0xf0, 0x9f, 0x98, 0x0a);
    const line = encoder.encode('the line\nnext');
    const log = grown(emptyLog, part(Buffer.concat([junk, line]), 0), junk.length);
    assert.equal(lineAt(log), 'the line');
    const behind = grown(grown(emptyLog, part(junk, 0), 1_000), part(line, junk.length, 991), 1_000);
    assert.equal(lineAt(behind), 'the line');
    assert.match(behind.text, /\.\.\. 991 bytes were not kept \.\.\.\nthe line/);
  });

  it('says that more stands before and behind, and keeps what is around the line', () => {
    const text = `torn\n${'x'.repeat(99)}\n`.repeat(5_000);
    const log = grown(emptyLog, part(encoder.encode(text), 7), 7 + 5);
    assert.deepEqual([log.cutBefore, log.cutAfter, log.line], [true, true, 0]);
    assert.ok(log.text.startsWith('xxx') && log.text.length < text.length);
  });

  it('has no line where the place is not in it', () => {
    const log = grown(emptyLog, part(encoder.encode('short\n'), 0), 99);
    assert.deepEqual(log, { ...emptyLog, text: 'short\n' });
  });
});

describe('a log that one looks at as a whole', () => {
  it('is kept from its end', () => {
    const log = grown(
      grown(emptyLog, part(encoder.encode('first\n'), 0), null),
      part(encoder.encode('y'.repeat(400_000)), 6),
      null,
    );
    assert.deepEqual([log.cutBefore, log.line, log.text.length], [true, null, 400_000]);
    assert.ok(!log.text.includes('first'));
  });
});
