// A process that is going to be killed: it records runs and output as fast as it can and says on stdout what was
// acknowledged. What it ships goes nowhere.
import { createLedger } from '#agent/shipper/create-ledger.ts';
import { blankRun } from '#core/model/run.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';

const [dir = '', from = '0'] = process.argv.slice(2);
const away = () => Promise.reject(new Error('away'));
const ledger = createLedger({
  dir,
  history: { saveRuns: away, saveLogs: away, addAlerts: away },
  clock: systemClock(),
  ids: systemIds(),
  events: eventBus(),
});
async function one(n: number): Promise<void> {
  const id = `default~j~${n}~1`;
  for (let i = 0; i < 3; i++) ledger.output(id, i * 10, Buffer.from(`${n}`.padEnd(9).concat('\n')), 0);
  await ledger.record([
    blankRun({
      id,
      group: 'default',
      name: 'j',
      state: 'succeeded',
      attempt: 1,
      trigger: 'manual',
      bytes: 30,
    }),
  ]);
  // No faster than it is read: to write to its file itself fails where the pipe is full.
  await new Promise((resolve) => process.stdout.write(`${n}\n`, resolve));
}
for (let n = Number(from); ; n += 7) await Promise.all([0, 1, 2, 3, 4, 5, 6].map((i) => one(n + i)));
