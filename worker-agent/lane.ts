import type { JobId } from '#core/model/ids.ts';
import type { Revision } from '#core/ports/kv.ts';
import type { Gate } from './gates.ts';

/** One job in the lane in which this worker may decide it. */
export interface Lane {
  job: JobId;
  lane: string;
  /** 0: home; 1, 2: deputies. */
  place: number;
  /** False: no live worker fits the job, and this one keeps its books. */
  runnable: boolean;
  cursor: number | null;
  cursorMod: Revision;
  /** Whether cursor and cursorMod are as the store last showed them. */
  loaded: boolean;
  /** mod revision of a cursor that can't be read, as it was told of; null: there is none such. */
  unreadable: Revision | null;
  /** A transaction about it is under way. */
  busy: boolean;
  /** The first instant that is held back (overlap: queue, replace; no free slot). */
  held: number | null;
  /** How long the next wait of a held lane is, ms. */
  waits: number;
  gate: Gate | null;
  cancelWake: (() => void) | null;
}
