import type { Ledger } from '#agent/ledger.ts';
import type { RunId } from '#core/model/ids.ts';
import { refuse } from '#core/model/refusal.ts';
import { isTerminal } from '#core/model/run.ts';
import type { Life } from './host.ts';
import type { SimHistory } from './sim-history.ts';

const retryMs = 500;

/**
 * The Ledger of one agent's life over its host's simulated spool: what was acknowledged is still there for the next life,
 * what was not may or may not be.
 */
export function simLedger(life: Life, history: SimHistory): Ledger {
  const { host } = life;
  const { chance, world } = host;
  const acked = new Set<RunId>();
  const waiters = new Set<() => void>();
  let shipping = false;

  function ship(): void {
    if (shipping || life.dead || host.spool.length === 0) return;
    shipping = true;
    const batch = [...host.spool];
    host.after(chance.between(1, history.takesMs), () => {
      const down = history.down;
      if (!down) history.save(batch);
      // The answer may be lost with the agent: then the next life sends it all again.
      world.after(chance.between(0, 5), () =>
        life.deliver(() => {
          shipping = false;
          if (down) return void life.clock.after(retryMs, ship);
          host.spool = host.spool.filter((run) => !batch.includes(run));
          for (const run of batch) if (isTerminal(run.state)) acked.add(run.id);
          for (const look of [...waiters]) look();
          ship();
        }),
      );
    });
  }
  if (host.spool.length > 0) life.clock.after(10, ship);

  return {
    async record(runs) {
      life.step();
      if (life.dead) return await new Promise(() => {});
      await new Promise<void>((resolve, reject) => {
        host.after(chance.between(1, 6), () => {
          // A dead agent's write may still have reached the disk.
          if (host.diskFull || (life.dead && chance.happens(0.5)))
            return life.deliver(() => reject(refuse('disk_full', 'spool', host.id, 'room on the disk')));
          host.spool.push(...runs);
          life.deliver(() => {
            life.step();
            if (life.dead) return;
            resolve();
            ship();
          });
        });
      });
    },
    output() {},
    acked(run, ms) {
      return new Promise((resolve) => {
        if (acked.has(run)) return resolve(true);
        const look = () => {
          if (!acked.has(run)) return;
          done(true);
        };
        const done = (answer: boolean) => {
          cancel();
          waiters.delete(look);
          resolve(answer);
        };
        const cancel = Number.isFinite(ms) ? life.clock.after(ms, () => done(false)) : () => {};
        waiters.add(look);
      });
    },
    hasRoom: () => !host.diskFull,
    fullness: () => (host.diskFull ? 1 : 0),
    waiting: () => host.spool.length,
    emptyAt: () => null,
  };
}
