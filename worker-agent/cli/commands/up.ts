import { siteFrom } from '#functions/site.ts';
import { readSettings, settingHelp, settingNames } from '../../settings.ts';
import { type Command, type Flag, Usage } from '../command.ts';
import { siteFolder, version } from '../shipped.ts';

const flags: Record<string, Flag> = {
  ...Object.fromEntries(settingNames.map((name) => [name, settingHelp(name)])),
  config: { value: 'FILE', help: 'YAML with the same names (/etc/cronfleet/config.yaml)' },
};

export const up: Command = {
  name: 'up',
  part: 'Start',
  words: '',
  count: [0, 0],
  summary: 'One machine: API, site and agent in one process (what npm start runs)',
  example: 'cronfleet up --data /var/lib/cronfleet --listen 127.0.0.1:8787',
  flags,
  local: true,
  async run({ text, env, terminal }) {
    const given = Object.fromEntries(settingNames.map((name) => [name, text(name)]));
    const settings = readSettings(given, env, text('config') ?? null);
    // Listened for before anything is started, so that an early Ctrl-C stops it cleanly too.
    const stopped = new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
    });
    const { startStandalone } = await import('../../standalone.ts');
    const running = await startStandalone(settings, {
      version,
      site: siteFrom(siteFolder),
    });
    terminal.line(`cronfleet is up: ${running.url}/#token=${running.token}`);
    await Promise.race([stopped, running.failed]);
    terminal.note('stopping; running jobs live on');
    await running.stop();
    return 0;
  },
};

/** What a fleet needs and one machine does not: said by name, so that nobody looks for a flag. */
function later(name: string, summary: string): Command {
  return {
    name,
    part: 'Start',
    words: '',
    count: [0, 0],
    summary: `${summary} (not in this version)`,
    example: 'cronfleet up',
    local: true,
    async run() {
      throw new Usage(
        `${name} needs stores that several machines share (--kv etcd://..., --history mongodb://...), which this version does not have; cronfleet up runs it all on one machine`,
      );
    },
  };
}

export const daemons: readonly Command[] = [
  up,
  later('agent', 'A worker of a fleet'),
  later('server', 'API and site of a fleet'),
];
