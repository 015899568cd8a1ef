import { Refusal } from '#core/model/refusal.ts';
import { loadSettings, type Settings, settingHelp } from '../../settings.ts';
import { type Command, type Context, jsonFlag } from '../command.ts';
import { cronToo } from '../doctor/cron-too.ts';
import { bad, type Finding } from '../doctor/finding.ts';
import { hostFindings } from '../doctor/host-findings.ts';
import { serverFindings } from '../doctor/server-findings.ts';
import { signInFindings } from '../doctor/sign-in-findings.ts';
import { areShared, storeFindings } from '../doctor/store-findings.ts';

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
    const { terminal, has, data, text, env } = context;
    const { settings, mistakes } = await settingsHere(context);
    const fleet = settings !== null && areShared(settings);
    const alone = !fleet && text('url') === undefined && !env.CRONFLEET_URL;
    const findings: Finding[] = [
      ...(await serverFindings(context, { fleet })),
      ...mistakes,
      ...(settings === null ? [] : await storeFindings(settings)),
      ...(settings === null ? [] : await signInFindings(settings)),
      // Who asks a server elsewhere, or keeps a daemon of a fleet, has no folder of `up`.
      ...hostFindings(alone ? data : null),
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

/** The settings of a daemon here; what is wrong with them keeps nothing else from being looked at. */
async function settingsHere({
  text,
  env,
}: Context): Promise<{ settings: Settings | null; mistakes: Finding[] }> {
  const given = { kv: text('kv'), history: text('history'), ssm: text('ssm') };
  try {
    return { settings: await loadSettings(given, env, text('config') ?? null), mistakes: [] };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const said = error.errors.length > 0 ? error.errors : [error];
    return { settings: null, mistakes: said.map(({ message }) => bad(message)) };
  }
}
