import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { logEvent } from '#agent/event-log.ts';

describe('the log of a key that is not ours', () => {
  const rows: readonly [key: string, advice: RegExp][] = [
    ['/cron/jobs/g/n', /^nobody heeds it; .* etcdctl del \/cron\/jobs\/g\/n$/],
    [
      '/cron/running/g/n/~/x',
      /^g\/n takes it for a run that lives; .*etcdctl del \/cron\/running\/g\/n\/~\/x$/,
    ],
    // Its instants since the floor would be due again, so the floor is moved before it goes.
    [
      '/cron/cursors/g/n/~',
      /^g\/n stands still .* pause g\/n, cronfleet resume g\/n, etcdctl del \/cron\/cursors\/g\/n\/~$/,
    ],
  ];
  for (const [key, advice] of rows)
    it(`says what to do about ${key}`, () => {
      const lines: string[] = [];
      const logger = pino({ level: 'warn' }, { write: (text: string) => void lines.push(text) });
      logEvent(logger, { type: 'key.invalid', key, problem: 'is not JSON' });
      const said = JSON.parse(lines.join(''));
      assert.deepEqual([said.msg, said.key, said.problem], ['key.invalid', key, 'is not JSON']);
      assert.match(said.advice, advice);
    });
});
