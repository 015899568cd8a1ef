import type { Chance } from '#test/sim/chance.ts';
import type { Yard } from './yard.ts';

interface Acts {
  chance: Chance;
  jobs: readonly string[];
  command(name: string): string;
}

/** Something that a person might do, through any server; what is refused or finds nobody is no breach. */
export async function act(yard: Yard, { chance, jobs, command }: Acts): Promise<void> {
  const [first = '', ...rest] = jobs;
  const name = chance.pick([first, ...rest]);
  const server = chance.between(0, yard.servers.length - 1);
  const at = `/jobs/default/${name}`;
  const what = chance.pick([
    'run',
    'run',
    'kill',
    'kill',
    'pause',
    'resume',
    'resume',
    'edit',
    'skip',
    'backfill',
  ]);
  const now = Date.now();
  try {
    switch (what) {
      case 'run':
        await yard.ask(server, 'POST', `${at}/run`, {});
        return;
      case 'kill': {
        const { body } = await yard.ask(server, 'GET', at);
        const [running] = (body as { running?: { id: string }[] }).running ?? [];
        if (running !== undefined) await yard.ask(server, 'POST', `/runs/${running.id}/kill`, {});
        return;
      }
      case 'pause':
        await yard.ask(server, 'POST', `${at}/pause`, {
          until: new Date(now + chance.between(1_000, 6_000)).toISOString(),
        });
        return;
      case 'resume':
        await yard.ask(server, 'POST', `${at}/resume`, {});
        return;
      case 'edit': {
        const { body, status } = await yard.ask(server, 'GET', at);
        if (status !== 200) return;
        const { job } = body as { job: Record<string, unknown> };
        await yard.ask(server, 'PUT', at, { ...job, command: command(name) });
        return;
      }
      case 'skip': {
        const { body } = await yard.ask(server, 'GET', at);
        const [next] = (body as { next?: string[] }).next ?? [];
        if (next !== undefined) await yard.ask(server, 'POST', `${at}/skip`, { instant: next });
        return;
      }
      case 'backfill':
        await yard.ask(server, 'POST', `${at}/backfill`, {
          from: new Date(now - 6_000).toISOString(),
          to: new Date(now - 2_000).toISOString(),
        });
    }
  } catch {
    // Nobody answered in time: it is tried again another time, or it was done and the answer is lost.
  }
}
