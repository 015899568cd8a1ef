import { parseSchedule } from '#core/schedule/parse.ts';
import { preview } from '#core/schedule/preview.ts';
import { sentence } from '#core/schedule/sentence.ts';
import { warnings } from '#core/schedule/warnings.ts';
import { type Command, jsonFlag, show, Usage } from '../command.ts';
import { machineZone } from '../host.ts';
import { table } from '../terminal.ts';

export const next: Command = {
  ...{
    name: 'next',
    part: 'Jobs',
    words: "'EXPR'",
    count: [1, 7],
    summary: 'When an expression comes; needs no server',
  },
  example: "cronfleet next '30 2 * * *' --timezone Europe/Berlin",
  flags: {
    timezone: { value: 'ZONE', help: "an IANA name (this machine's)" },
    dst: { value: 'RULE', help: 'what clock changes do: vixie, skip or both (vixie)' },
    count: { value: 'N', help: 'so many (5)' },
    ...jsonFlag,
  },
  local: true,
  async run(context) {
    const { text, args, now } = context;
    const count = Number(text('count') ?? '5');
    if (!Number.isInteger(count) || count < 1 || count > 1_000)
      throw new Usage(`--count ${text('count')}: expected a whole number from 1 to 1000`);
    const dst = text('dst') ?? 'vixie';
    if (dst !== 'vixie' && dst !== 'skip' && dst !== 'both')
      throw new Usage(`--dst ${dst}: expected vixie, skip or both`);
    const timezone = text('timezone') ?? machineZone() ?? 'UTC';
    const schedule = parseSchedule(args.join(' '), { timezone, dst });
    const value = {
      ...{ normal: schedule.normal, sentence: sentence(schedule), timezone },
      next: preview(schedule, now(), count).map((one) => ({
        ...one,
        instant: new Date(one.instant).toISOString(),
      })),
      warnings: warnings(schedule, now()),
    };
    return show<typeof value>(context, value, (one) =>
      [
        one.sentence,
        table(
          ['LOCAL TIME', 'UTC', ''],
          one.next.map(({ instant, local, note }) => [local, instant, note ?? '']),
        ),
        ...one.warnings.map((warning) => `note: ${warning}`),
      ].join('\n'),
    );
  },
};
