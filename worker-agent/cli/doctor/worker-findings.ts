import { commonTzdata, maxSkewMs } from '#core/decide/placement.ts';
import { bad, type Finding, note, ok } from './finding.ts';

/** What the API tells of a worker, as far as it is looked at here. */
export interface Worker {
  id: string;
  state: string;
  clockSkewMs: number | null;
  tzdata: string;
}

/** What keeps workers from taking jobs. */
export function workerFindings(workers: readonly Worker[]): Finding[] {
  const live = workers.filter(({ state }) => state === 'live');
  const common = commonTzdata(workers.filter(({ state }) => state !== 'dead'));
  return [
    live.length > 0
      ? ok(`live workers: ${live.map(({ id }) => id).join(', ')}`)
      : bad(
          'no worker is live: nothing will run',
          'start one: cronfleet up, in a fleet systemctl start cronfleet-agent; its log says why it is not',
        ),
    ...workers.flatMap((worker) => findingsOf(worker, common)),
  ];
}

function findingsOf({ id, state, clockSkewMs, tzdata }: Worker, common: string): Finding[] {
  const found: Finding[] = [];
  if (state === 'draining')
    found.push(note(`${id} is draining and takes nothing new`, `cronfleet drain ${id} --undo lets it`));
  if (state === 'away')
    found.push(
      note(`${id} was stopped while runs lived`, 'start it again within ten minutes, and it adopts them'),
    );
  if (clockSkewMs !== null && Math.abs(clockSkewMs) > maxSkewMs)
    found.push(
      bad(
        `${id}'s clock is ${clockSkewMs} ms off, so it claims nothing`,
        'let it be set by NTP: timedatectl set-ntp true',
      ),
    );
  if (state === 'live' && tzdata !== common)
    found.push(
      bad(
        `${id} has zone data ${tzdata}, most have ${common}: it runs no job that has a zone`,
        'bring its Node to the version of the others',
      ),
    );
  return found;
}
