import type { JobInput } from '#core/model/job.ts';
import { Usage } from './command.ts';

type Target = NonNullable<JobInput['target']>;

/** `--workers ID,...` and `--labels K=V,...` as a job's target; null where neither is given. A key that comes twice may have either value. */
export function targetOf(workers: string | undefined, labels: string | undefined): Target | null {
  if (workers === undefined && labels === undefined) return null;
  const pairs = (labels ?? '').split(',').flatMap((pair): [string, string][] => {
    if (pair === '') return [];
    const [, key, value] = /^([^=]+)=([^=]*)$/.exec(pair) ?? [];
    if (key === undefined || value === undefined) throw new Usage(`--labels ${labels}: expected K=V,K=V`);
    return [[key, value]];
  });
  const ids = (workers ?? '').split(',').filter((id) => id !== '');
  if (ids.length + pairs.length === 0) throw new Usage('--workers and --labels: expected ID,ID and K=V,K=V');
  const values = (key: string) => pairs.filter((pair) => pair[0] === key).map(([, value]) => value);
  const asked = [...new Set(pairs.map(([key]) => key))].map((key) => {
    const [first = '', ...others] = values(key);
    return [key, others.length === 0 ? first : [first, ...others]] as const;
  });
  return { labels: Object.fromEntries(asked), workers: ids };
}
