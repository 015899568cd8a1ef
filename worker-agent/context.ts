import type { batcher } from '#core/cluster/batch.ts';
import type { Layout } from '#core/cluster/keys.ts';
import type { ReferenceTime } from '#core/cluster/reference-time.ts';
import type { WorkerLoad } from '#core/model/worker.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { Kv, LeaseId, Revision } from '#core/ports/kv.ts';
import type { Ledger } from './ledger.ts';
import type { Runner } from './runner.ts';

/** What an agent is and how much it takes; fixed while it lives. */
export interface AgentSettings {
  id: string;
  host: string;
  addresses: string[];
  labels: Record<string, string>;
  capacity: number;
  version: string;
  tzdata: string;
  switchesUser: boolean;
}

/** What a restarted agent remembers of itself. */
export interface Remembered {
  /** Under which its registration may stand. Noted down before the transaction that uses them, since its reply may be lost. */
  leases: LeaseId[];
  /** When it became a worker (UTC ms) with these labels: what mode `all` has missed since then is its own to account for. */
  since: number;
  labels: Record<string, string>;
  /** Under which it has claimed since this host was booted: what was claimed under another may have left traces that are not here. */
  incarnations: Revision[];
}

/** Everything an agent touches, handed in. */
export interface AgentDeps {
  settings: AgentSettings;
  kv: Kv;
  layout: Layout;
  clock: Clock;
  /** What all workers measure their clocks against. */
  reference: ReferenceTime;
  ids: Ids;
  events: Events;
  ledger: Ledger;
  runner: Runner;
  /** Packs transactions into requests. Left out: as it should be; a test hands in a careless one. */
  batcher?: typeof batcher;
  /** Kept in the data folder, which one agent alone holds: so a match means that the registration is our own, earlier one. */
  memory: {
    load(): Promise<Remembered | null>;
    /** False: the disk takes nothing at the moment. */
    save(value: Remembered): Promise<boolean>;
  };
  /** Load figures for History; a failure there is nobody's concern here. */
  report(load: WorkerLoad): void;
}

/** Lets work go on beside; a fault of it is told as `agent.fault`, unless the agent is ending. */
export type Guard = (where: string, work: Promise<unknown>) => void;

/** The protocol's own times, ms (DESIGN.md section 4). */
export const times = {
  leaseTtl: 10_000,
  renewEvery: 3_000,
  /** Held back from the lease's end: what a request and a pause between looking and acting may cost. */
  margin: 1_000,
  awayTtl: 600_000,
  /** Who was cut off together comes back within this of each other: a request's deadline, the wait before the next, and room. */
  followMs: 5_000,
  /** A claim goes out this long before its instant. */
  lead: 200,
  /** Finishes of a burst wait so long for each other: they come one by one, and each request is a commit. */
  gather: 50,
  /** When the second and the third by rank look whether the home has decided. */
  deputyDelays: [0, 250, 1_000],
  /** How long the end of a run waits for History before its record is owed. */
  historyWait: 250,
  keeperEvery: 60_000,
  membershipQuiet: 1_000,
  /** How long a stop waits for ends that are under way: the next start ends what is left. */
  stopWait: 10_000,
} as const;
