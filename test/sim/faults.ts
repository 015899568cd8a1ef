import type { Layout } from '#core/cluster/keys.ts';
import { setDrain } from '#core/cluster/workers.ts';
import { Refusal } from '#core/model/refusal.ts';
import { KvError } from '#core/ports/kv.ts';
import type { Connection } from '#core/stores/kv/embedded/embedded-kv.ts';
import type { Fleet, Member } from './fleet.ts';
import { type FaultKind, type Planned, zones } from './scenario.ts';
import type { SimHistory } from './sim-history.ts';
import { calm, type Weather } from './sim-kv.ts';
import type { StoreClock } from './store-clock.ts';
import type { World } from './world.ts';

export interface FaultsDeps {
  world: World;
  fleet: Fleet;
  store: Connection;
  storeClock: StoreClock;
  layout: Layout;
  history: SimHistory;
  /** That of the agents' requests, and that of people's. */
  weather: Weather;
  apiWeather: Weather;
  /** True ms of the heal. */
  healAt: number;
  guard(what: string, work: Promise<unknown>): void;
}

/** Carries out what a scenario has planned against the fleet, and ends it all at the heal. */
export function createFaults(deps: FaultsDeps) {
  const { world, fleet, store, storeClock, layout, history, weather, apiWeather, healAt, guard } = deps;
  /** How many of each are under way: the last to end is the end. */
  const underWay = new Map<unknown, number>();

  /** How to let those hear again that are deaf. */
  const deaf = new Set<() => void>();
  function hear(): void {
    for (const release of deaf) release();
    deaf.clear();
  }

  /** For `ms`, or until nobody else wants it any more. */
  function during(what: unknown, ms: number, change: (on: boolean) => void): void {
    underWay.set(what, (underWay.get(what) ?? 0) + 1);
    change(true);
    world.after(ms, () => {
      const left = (underWay.get(what) ?? 1) - 1;
      underWay.set(what, left);
      if (left === 0) change(false);
    });
  }

  function cutOff({ host, agent }: Member, link: 'cut' | 'mute', ms: number): void {
    fleet.note(host.id, ms);
    if (agent !== null) host.onMend(agent.hold());
    during(host, ms, (on) => (on ? host.cutOff(link) : host.mend()));
  }

  function quorate(): boolean {
    return (underWay.get('quorum') ?? 0) === 0;
  }

  async function drain(id: string): Promise<void> {
    try {
      await setDrain(store, layout, id, { by: 'somebody', at: world.utc });
    } catch (error) {
      // Nobody to drain at the moment.
      if (!(error instanceof Refusal)) throw error;
    }
  }

  async function undrain(id: string): Promise<void> {
    if (!quorate()) return void world.after(1_000, () => guard('drain', undrain(id)));
    await store.txn({ compare: [], then: [{ type: 'delete', key: layout.drain(id) }] });
  }

  async function compact(): Promise<void> {
    const { revision } = await store.range({ key: layout.prefix });
    try {
      await store.compact(revision);
    } catch (error) {
      // Nothing was written since the last time.
      if (!(error instanceof KvError) || error.code !== 'compacted') throw error;
    }
  }

  function inject({ kind, ms, host: at, step }: Planned<FaultKind>): void {
    const member = fleet.members[at];
    if (member === undefined) return;
    const { host, agent } = member;
    const off = ['pause', 'suspend', 'leaseLoss', 'deaf', 'diskFull'];
    if (off.includes(kind)) fleet.note(host.id, ms);
    switch (kind) {
      case 'kill':
        fleet.kill(member, ms);
        break;
      case 'crash': {
        // Now and then the next life crashes as well, before it has recovered.
        const again = step % 3 === 0 ? [{ step: 1 + (step % 40), downMs: ms % 2_000 }] : [];
        fleet.crash(member, [{ step, downMs: ms }, ...again]);
        break;
      }
      case 'freeze':
        agent?.life.atStep(step, () => {
          fleet.note(host.id, ms);
          host.suspend(ms);
        });
        break;
      case 'stop':
        guard('stop', fleet.stop(member, ms));
        break;
      case 'reboot':
        fleet.reboot(member, ms);
        break;
      case 'relabel':
        if (agent === null) break;
        fleet.kill(member, ms);
        // One that stood for other labels in the time before: what fits it is another matter from now on.
        member.machine.labels = { zone: zones[step % zones.length] ?? 'a' };
        break;
      case 'shoot': {
        // By the kernel for want of memory, say: it leaves no exit status.
        const living = [...host.processes.values()].filter(({ state }) => state === 'running');
        living[step % Math.max(1, living.length)]?.die('power');
        break;
      }
      case 'replace':
        fleet.reboot(member, ms, true);
        break;
      case 'pause':
        agent?.life.pause();
        world.after(ms, () => agent?.life.resume());
        break;
      case 'suspend':
        host.suspend(ms);
        break;
      case 'step':
        fleet.note(host.id, healAt - world.time);
        host.step(ms);
        break;
      case 'leaseLoss':
        during(`${host.id} renews`, ms, (on) => {
          host.renews = !on;
        });
        break;
      case 'storeDown':
        for (const each of fleet.members) cutOff(each, 'cut', ms);
        break;
      case 'noQuorum':
        fleet.note(null, ms);
        storeClock.stand(ms);
        during('quorum', ms, (on) => {
          weather.down = on;
          apiWeather.down = on;
        });
        break;
      case 'cut':
      case 'mute':
        cutOff(member, kind, ms);
        break;
      case 'deaf':
        if (agent !== null) deaf.add(agent.hold());
        during(deaf, ms, (on) => void (on || hear()));
        break;
      case 'compact':
        if (quorate()) guard('compact', compact());
        break;
      case 'diskFull':
        during(`${host.id} disk`, ms, (on) => {
          host.diskFull = on;
        });
        break;
      case 'historyDown':
        during(history, ms, (on) => {
          history.down = on;
        });
        break;
      case 'drain':
        if (!quorate()) break;
        fleet.note(host.id, ms);
        guard('drain', drain(host.id));
        world.after(ms, () => guard('drain', undrain(host.id)));
        break;
    }
  }

  return {
    inject,
    /** From now on nothing is wrong any more. */
    heal(): void {
      Object.assign(weather, calm);
      apiWeather.down = false;
      history.down = false;
      hear();
      for (const { host, machine, agent } of fleet.members) {
        fleet.note(host.id, 0);
        // Several are put right; one alone has no other time than its own.
        if (fleet.members.length > 1) host.step(machine.offsetMs - host.wallOffset);
        host.diskFull = false;
        host.mend();
        host.renews = true;
        agent?.life.resume();
        agent?.life.atStep(Number.POSITIVE_INFINITY, () => {});
        guard('undrain', undrain(host.id));
      }
      for (const member of fleet.members) member.crashes.length = 0;
    },
  };
}
