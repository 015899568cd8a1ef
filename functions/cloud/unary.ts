import type { History } from '#core/ports/history.ts';
import type { Kv } from '#core/ports/kv.ts';
import type { Use } from './kept-client.ts';

/** What only somebody may do who is there all the time: a function is frozen between two requests. */
function notFromHere(what: string): never {
  throw new Error(`a function makes unary calls only, and ${what} is none`);
}

/** The store of jobs, by unary calls of a client that comes and goes. */
export function unaryKv(use: Use<Kv>): Kv {
  return {
    range: (...given) => use((kv) => kv.range(...given), { repeatable: true }),
    txn: (txn) => use((kv) => kv.txn(txn)),
    compact: (revision) => use((kv) => kv.compact(revision)),
    grant: async () => notFromHere('a lease'),
    renew: async () => notFromHere('a lease'),
    revoke: async () => notFromHere('a lease'),
    follow: async () => notFromHere('a watch'),
    async close() {},
  };
}

/** The ledger, by unary calls likewise. */
export function unaryHistory(use: Use<History>): History {
  return {
    now: () => use((history) => history.now()),
    saveRuns: (runs) => use((history) => history.saveRuns(runs)),
    saveLogs: (chunks) => use((history) => history.saveLogs(chunks)),
    run: (id) => use((history) => history.run(id)),
    runs: (query) => use((history) => history.runs(query)),
    covering: (...given) => use((history) => history.covering(...given)),
    latest: (jobs) => use((history) => history.latest(jobs)),
    log: (...given) => use((history) => history.log(...given)),
    search: (query) => use((history) => history.search(query)),
    stats: (query) => use((history) => history.stats(query)),
    addAudit: (entry) => use((history) => history.addAudit(entry)),
    audit: (query) => use((history) => history.audit(query)),
    addAlerts: (alerts) => use((history) => history.addAlerts(alerts)),
    alerts: (query) => use((history) => history.alerts(query)),
    claimAlerts: (claim) => use((history) => history.claimAlerts(claim)),
    settleAlerts: (...given) => use((history) => history.settleAlerts(...given)),
    openAlerts: (query) => use((history) => history.openAlerts(query)),
    endAlerts: (...given) => use((history) => history.endAlerts(...given)),
    toldSince: (since) => use((history) => history.toldSince(since)),
    saveLoad: (load) => use((history) => history.saveLoad(load)),
    loads: (workers) => use((history) => history.loads(workers)),
    expire: (now) => use((history) => history.expire(now)),
    waitForLog: (...given) => use((history) => history.waitForLog(...given)),
    async close() {},
  };
}
