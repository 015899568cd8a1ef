/** What an agent is like at this moment, for whoever looks. */
export interface AgentFigures {
  /** Armed and living runs, and how many it takes at once. */
  living: number;
  capacity: number;
  /** Jobs in its mirror, and the newest store revision that was applied to it. */
  jobs: number;
  revision: string;
  /** Whether it may claim: registered, by a lease that is sure, with a clock that is right. */
  mayClaim: boolean;
  /** Of that lease; below 0 it is not sure any more, null: it has never had one. */
  leaseLeftMs: number | null;
  draining: boolean;
  spool: SpoolFigures;
}

/** What waits for History on this host. */
export interface SpoolFigures {
  bytes: number;
  limitBytes: number;
  /** Records and pieces of output that History does not surely have. */
  records: number;
  pieces: number;
  /** For how long History has taken none of it; 0 where nothing waits. */
  lagMs: number;
}
