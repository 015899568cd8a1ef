import { Refusal } from '#core/model/refusal.ts';
import type { ServerFinding } from '#functions/findings/finding.ts';
import { type Api, Unreachable } from '../api-client.ts';
import { bad, type Finding, note, ok } from './finding.ts';

/** What the server finds wrong with its stores, the fleet, alerts and tokens, as it sees them. */
export async function fleetFindings(server: Api): Promise<Finding[]> {
  try {
    const { items } = (await server.get('/findings')) as { items: ServerFinding[] };
    if (items.length === 0) return [ok('the server finds stores, jobs, workers, alerts and tokens in order')];
    // Whether any is live is said of the workers themselves.
    return items
      .filter(({ code }) => code !== 'worker_none')
      .map(({ level, what, advice }) => (level === 'error' ? bad : note)(what, advice));
  } catch (error) {
    // One of before has no such route.
    if (error instanceof Refusal && error.code === 'route_not_found') return [];
    if (error instanceof Refusal && error.code === 'forbidden')
      return [
        note('what the server itself finds wrong is for an admin of every group', 'ask with such a token'),
      ];
    if (error instanceof Unreachable) return [bad(error.message)];
    throw error;
  }
}
