import { Etcd3 } from 'etcd3';
import { batcher, type Piece } from '#core/cluster/batch.ts';
import { claimInstant } from '#core/cluster/claim.ts';
import { type Layout, oneLane } from '#core/cluster/keys.ts';
import { stillMe } from '#core/cluster/registration.ts';
import { instantText, jobId, runId } from '#core/model/ids.ts';
import type { Op } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { txnRequest } from '#core/stores/kv/etcd/wire.ts';
import { openKv } from '#core/stores/open.ts';
import { type BenchRow, type BenchTable, percentile } from './bench.ts';
import { withServers } from './servers.ts';

const rounds = 7;
const worker = 'bench';

/** Makes one request's worth of claims ready, and says how to send them. */
type Sender = (pieces: readonly Piece[]) => () => Promise<void>;

/**
 * Claims as agents send them (the batcher on the store, which reads the answers), beside a loop that hands the same transactions, ready
 * as requests, to etcd3 itself. Both ask the leader alone: another member would cost a hop more.
 */
export function bench(): Promise<BenchTable> {
  return withServers(3, async ({ cluster, etcd, store: { layout } }) => {
    const { endpoint } = await cluster.leader();
    const kv = await openKv(`etcd://${endpoint}`, systemClock(), systemIds());
    const client = new Etcd3({ hosts: `http://${endpoint}` });
    try {
      const me: Op = { type: 'put', key: layout.worker(worker), value: '{}' };
      const { revision: incarnation } = await kv.txn({ compare: [], then: [me] });
      const outer = stillMe(layout, worker, incarnation);
      const claims = batcher({ kv, outer: () => outer, again: async () => false });
      const ours: Sender = (pieces) => async () => {
        const results = await Promise.all(pieces.map((piece) => claims.submit(piece)));
        checkTaken(results.every((result) => result.outcome === 'done' && result.succeeded));
      };
      const bare: Sender = (pieces) => {
        const then = pieces.map(({ txn }): Op => ({ type: 'txn', txn }));
        const request = txnRequest({ compare: outer, then });
        return async () => {
          const { succeeded, responses } = await client.kv.txn(request);
          checkTaken(succeeded && responses.every(({ response_txn }) => response_txn?.succeeded === true));
        };
      };
      const next = claimsOf(layout, incarnation);
      return {
        title: `Claims a second on ${etcd}, beside a bare loop of the same transactions through etcd3 (median of ${rounds} turns; at least 0.80 x)`,
        rows: [
          rowOf('one after the other', await inTurns(200, 1)),
          rowOf('100 at a time, which share a request', await inTurns(40, 100)),
        ],
      };

      /** In turns, so that what else the machine does meets both alike; the first of each only warms up. */
      async function inTurns(requests: number, size: number): Promise<Record<'ours' | 'bare', number>> {
        const speeds = { ours: [] as number[], bare: [] as number[] };
        for (let round = 0; round <= rounds; round += 1) {
          const one = await perSecond(requests, size, ours);
          const other = await perSecond(requests, size, bare);
          if (round === 0) continue;
          speeds.ours.push(one);
          speeds.bare.push(other);
        }
        return { ours: percentile(speeds.ours, 0.5), bare: percentile(speeds.bare, 0.5) };
      }

      async function perSecond(requests: number, size: number, send: Sender): Promise<number> {
        const ready = Array.from({ length: requests }, () => send(Array.from({ length: size }, next)));
        const began = performance.now();
        for (const request of ready) await request();
        return (requests * size * 1_000) / (performance.now() - began);
      }
    } finally {
      client.close();
      await kv.close();
    }
  });
}

/** A claim after the other, each of a job's first instant; no job is there, which is what it was judged on. */
function claimsOf(layout: Layout, incarnation: string): () => Piece {
  let made = 0;
  const instant = Date.now();
  return () => {
    const [group, name] = ['default', `job-${made++}`];
    const run = runId({ group, name, cause: instantText(instant), attempt: 1, worker: null });
    return claimInstant(
      layout,
      { job: jobId(group, name), lane: oneLane, cursorMod: '0', jobMod: '0' },
      {
        ...{ run, overlaps: false, owed: [] },
        cursor: { instant, from: worker, why: 'run', run },
        running: {
          ...{ worker, incarnation, state: 'claimed', instant, attempt: 1, losses: 0, covers: null },
          ...{ notBefore: 0, at: instant, trigger: 'schedule', order: null, by: null, env: {} },
        },
      },
    );
  };
}

function checkTaken(all: boolean): void {
  if (!all) throw new Error('a claim that nobody else made was refused');
}

function rowOf(name: string, { ours, bare }: Record<'ours' | 'bare', number>): BenchRow {
  return {
    name,
    value: `${thousands(ours)}/s`,
    yardstick: `${thousands(bare)}/s`,
    ratio: `${(ours / bare).toFixed(2)} x`,
  };
}

const thousands = (count: number) => Math.round(count).toLocaleString('en');
