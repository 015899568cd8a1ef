import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { logEvent } from '#agent/event-log.ts';
import { logLine } from '#agent/log-lines.ts';
import { HistoryError } from '#core/ports/history.ts';

describe("a log's line for a terminal", () => {
  const said: string[] = [];
  const logger = pino(
    { timestamp: () => ',"time":1795674800062' },
    { write: (line: string) => void said.push(logLine(line)) },
  );

  it('has its time, what happened, and what is known of it; nothing that is empty', () => {
    logger.info({ run: 'a~b~1', state: 'failed', reason: '', exitCode: 3, worker: null }, 'run.ended');
    assert.equal(said.pop(), '06:33:20 run.ended run=a~b~1 state=failed exitCode=3\n');
    logger.info({ startedAt: 1_795_674_779_997, reason: 'exit status 3' }, 'run.ended');
    assert.equal(
      said.pop(),
      '06:33:20 run.ended startedAt=2026-11-26T06:32:59.997Z reason="exit status 3"\n',
    );
  });

  it('marks what is wrong, with where an error came from', () => {
    logger.warn({ code: 'x' }, 'run.refused');
    assert.equal(said.pop(), '06:33:20 WARN  run.refused code=x\n');
    logger.error({ err: new Error('gone') }, 'http.fault');
    assert.match(said.pop() ?? '', /^06:33:20 ERROR http\.fault\nError: gone\n {4}at .*log-lines\.test/);
  });

  it('has in one line what a store says', () => {
    const error = new HistoryError('unavailable', 'history mongodb://h/x: cannot begin', {
      cause: new Error('refused'),
    });
    logEvent(logger, { type: 'ledger.away', error, retryInMs: 100 });
    assert.equal(
      said.pop(),
      '06:33:20 WARN  ledger.away retryInMs=100 code=unavailable message="history mongodb://h/x: cannot begin"\n',
    );
  });

  it('does not let what strangers wrote reach the terminal', () => {
    logger.warn({ reason: '\u001b[2J\u009b31m\u202egnp', err: new Error('\u001b]0;x\u0007') }, 'x');
    assert.doesNotMatch(said.pop() ?? '', /[\u001b\u0007\u009b\u202e]/);
  });

  it('leaves alone what is not JSON', () => {
    assert.equal(logLine('hello\n'), 'hello\n');
  });
});
