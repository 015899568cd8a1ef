import { type AfterRestore, settleAfterRestore } from '#core/cluster/after-restore.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { Refusal } from '#core/model/refusal.ts';
import { sleep } from '#core/ports/clock.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import { loadSettings, settingHelp, sharedStores } from '../../settings.ts';
import { type Command, jsonFlag, show } from '../command.ts';

/** A registration out of the backup is gone by then: its lease began anew with etcd's start. */
const patienceMs = 20_000;
const againMs = 1_000;

/** What has to happen between a restore of etcd and the first agent's start. */
export const afterRestore: Command = {
  name: 'after-restore',
  part: 'Fleet',
  words: '',
  count: [0, 0],
  summary: 'After etcd was restored from a backup, before agents start: see that nothing starts twice',
  example: "cronfleet after-restore --kv 'etcd://10.0.0.1:2379' --history 'mongodb://10.0.0.4/cronfleet'",
  flags: {
    ...Object.fromEntries((['kv', 'history', 'ssm'] as const).map((name) => [name, settingHelp(name)])),
    config: { value: 'FILE', help: 'the settings file (/etc/cronfleet/config.yaml)' },
    ...jsonFlag,
  },
  local: true,
  async run(context) {
    const { text, env } = context;
    const given = { kv: text('kv'), history: text('history'), ssm: text('ssm') };
    const urls = sharedStores(await loadSettings(given, env, text('config') ?? null));
    const clock = systemClock();
    const kv = await openKv(urls.kv, clock, systemIds());
    const history = await openHistory(urls.history, clock);
    try {
      const began = clock.boot();
      for (;;) {
        try {
          const done = await settleAfterRestore({ kv, layout: layoutOf(), history });
          return show<AfterRestore>(context, done, said);
        } catch (error) {
          const waits = error instanceof Refusal && error.code === 'workers_live';
          if (!waits || clock.boot() - began > patienceMs) throw error;
          await sleep(clock, againMs);
        }
      }
    } finally {
      await history.close();
      await kv.close();
    }
  },
};

function said({ jobs, missed, orders, dropped, kept }: AfterRestore): string {
  return [
    `${jobs} jobs count from now on; ${missed} stretches that nobody decided are recorded as missed`,
    ...orders.map(
      ({ job, order, kind, next }) =>
        `dropped: ${kind} of ${job} (${order})${next === null ? '' : `, from ${new Date(next).toISOString()} on`}; ask for it again if it has not run`,
    ),
    ...dropped.map((run) => `let go of: ${run}`),
    ...kept.map((run) => `left to its worker: ${run}`),
    'Now the agents may start.',
  ].join('\n');
}
