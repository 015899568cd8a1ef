import * as v from 'valibot';
import { stringify } from 'yaml';
import { formatCrontab } from '#core/crontab/format.ts';
import { Job } from '#core/model/job.ts';
import { type Command, Usage } from '../command.ts';
import { flavourHere, homeOf, machineZone, whoAmI } from '../host.ts';
import type { Jobs } from '../views.ts';
import { withoutDefaults } from '../without-defaults.ts';

export const exportCommand: Command = {
  ...{ name: 'export', part: 'Crontabs and files', words: '', count: [0, 0] },
  summary: 'Write the jobs as YAML, or as a crontab that means the same',
  example: 'cronfleet export --crontab > crontab.txt',
  flags: {
    yaml: { help: 'what apply reads (so it is unless --crontab is given)' },
    crontab: { help: 'a crontab; what it can not say stands in comments' },
    system: { help: 'a system table, with its user column' },
    user: { value: 'NAME', help: "the table of this user (yours): others' jobs are left to comments" },
    group: { value: 'G', help: 'the jobs of this group' },
  },
  async run({ api, text, has, terminal }) {
    if (has('yaml') && has('crontab')) throw new Usage('--yaml and --crontab: expected one of them');
    if (!has('crontab') && (has('system') || text('user') !== undefined))
      throw new Usage('--system and --user are for --crontab');
    const views = await api().all<Jobs>('/jobs', { group: text('group') });
    const jobs = views.map(({ job }) => v.parse(Job, job));
    if (!has('crontab')) {
      terminal.write(stringify({ jobs: jobs.map(withoutDefaults) }));
      return 0;
    }
    const owner = text('user') ?? whoAmI()?.name;
    terminal.write(
      formatCrontab(jobs, {
        ...{
          kind: has('system') ? 'system' : 'user',
          zone: machineZone() ?? 'UTC',
          homeOf,
          flavour: flavourHere(),
        },
        ...(has('system') || owner === undefined ? {} : { owner }),
      }),
    );
    return 0;
  },
};
