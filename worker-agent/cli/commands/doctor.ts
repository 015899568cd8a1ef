import { settingHelp } from '../../settings.ts';
import { type Command, jsonFlag } from '../command.ts';
import { cronToo } from '../doctor/cron-too.ts';
import type { Finding } from '../doctor/finding.ts';
import { hostFindings } from '../doctor/host-findings.ts';
import { serverFindings } from '../doctor/server-findings.ts';
import { signInFindings } from '../doctor/sign-in-findings.ts';
import { storeFindings } from '../doctor/store-findings.ts';

/** Everything that tends to be wrong, each with what to do about it. */
export const doctor: Command = {
  ...{
    name: 'doctor',
    part: 'Fleet',
    words: '',
    count: [0, 0],
    summary: 'Look whether all is well here, and what to do if not',
  },
  example: 'cronfleet doctor',
  flags: {
    ...jsonFlag,
    ...Object.fromEntries((['kv', 'history', 'ssm'] as const).map((name) => [name, settingHelp(name)])),
    config: { value: 'FILE', help: 'the settings of a daemon here, whose stores and sign-in are looked at' },
  },
  async run(context) {
    const { terminal, has, data } = context;
    const findings: Finding[] = [
      ...(await serverFindings(context)),
      ...(await storeFindings(context)),
      ...(await signInFindings(context)),
      ...hostFindings(data),
      ...(await cronToo(context)),
    ];
    if (has('json')) terminal.line(JSON.stringify(findings, null, 2));
    else
      for (const { level, what, advice } of findings) {
        const sign = {
          ok: terminal.paint('green', 'ok  '),
          note: 'note',
          bad: terminal.paint('red', 'BAD '),
        }[level];
        terminal.line(`${sign} ${what}${advice === '' ? '' : `\n     ${advice}`}`);
      }
    return findings.some(({ level }) => level === 'bad') ? 1 : 0;
  },
};
