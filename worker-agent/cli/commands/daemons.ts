import { oidcNames } from '#core/cluster/oidc-settings.ts';
import { Refusal } from '#core/model/refusal.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { siteFrom } from '#functions/site.ts';
import { readClientFile } from '../../client-file.ts';
import { serviceManager } from '../../service-manager.ts';
import { loadSettings, type Settings, settingHelp, settingNames } from '../../settings.ts';
import { apiClient } from '../api-client.ts';
import type { Command, Context, Flag } from '../command.ts';
import { siteFolder, version } from '../shipped.ts';

type Setting = (typeof settingNames)[number];

function flagsFor(names: readonly Setting[]): Record<string, Flag> {
  return {
    ...Object.fromEntries(names.map((name) => [name, settingHelp(name)])),
    config: { value: 'FILE', help: 'YAML with the same names (/etc/cronfleet/config.yaml)' },
  };
}

/** What a daemon is, once it has started. */
interface Daemon {
  /** Settles when it does what it is there for, with what that is in a few words. */
  ready: Promise<string>;
  /** Rejects when a part of it fails. */
  failed: Promise<never>;
  stop(): Promise<void>;
}

/** A command that goes on until it is told to stop. */
function daemon(
  what: Pick<Command, 'name' | 'summary' | 'example'>,
  {
    names,
    farewell,
    start,
  }: {
    names: readonly Setting[];
    /** Said when it stops; '': nothing. */
    farewell: string;
    start(settings: Settings, context: Context): Promise<Daemon>;
  },
): Command {
  return {
    ...what,
    part: 'Start',
    words: '',
    count: [0, 0],
    flags: flagsFor(names),
    local: true,
    async run(context) {
      const { text, env, terminal } = context;
      const given = Object.fromEntries(names.map((name) => [name, text(name)]));
      const settings = await loadSettings(given, env, text('config') ?? null);
      // Listened for before anything is started, so that an early Ctrl-C stops it cleanly too.
      const stopped = new Promise<void>((resolve) => {
        for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
      });
      const manager = serviceManager({
        ...{ env, pid: process.pid, clock: systemClock() },
        complain: (problem) => terminal.note(problem),
      });
      const running = await start(settings, context);
      const pings = new AbortController();
      void running.ready.then(async (status) => {
        await manager?.tell('READY=1', `STATUS=${status}`);
        await manager?.run(pings.signal);
      });
      await Promise.race([stopped, running.failed]);
      if (farewell !== '') terminal.note(farewell);
      await manager?.tell('STOPPING=1', `STATUS=${farewell || 'stopping'}`);
      await running.stop();
      pings.abort();
      return 0;
    },
  };
}

/** What an agent starts beside itself while it has runs that must not go on without the lease; nobody needs to call it. */
export const warden: Command = {
  name: 'warden',
  part: 'Start',
  words: 'FOLDER',
  count: [1, 1],
  summary: "Ends an agent's runs of `onLeaseLoss: kill` when its lease has run out (started by the agent)",
  example: 'cronfleet warden .cronfleet',
  local: true,
  async run({ args }) {
    const { standGuard } = await import('../../runner/warden.ts');
    await standGuard(args[0] ?? '', { clock: systemClock(), pid: process.pid });
    return 0;
  },
};

const answerMs = 3_000;

/** Where the store is in use since another `up` serves it: the refusal that says where that is. */
async function upAlready(error: unknown, data: string): Promise<Refusal | null> {
  const known = readClientFile(data);
  if (!(error instanceof Refusal) || error.code !== 'store_in_use' || known === null) return null;
  const { url, token, pid } = known;
  const stop = new AbortController();
  const cancel = systemClock().after(answerMs, () => stop.abort());
  // The version is told to those only whose token it knows.
  const isIt = await apiClient(url, token, fetch)
    .health(stop.signal)
    .then(
      ({ version: told }) => told !== undefined,
      () => false,
    )
    .finally(cancel);
  return isIt
    ? new Refusal('up_already', `cronfleet is up already (pid ${pid}): ${url}/#token=${token}`)
    : null;
}

const never = new Promise<never>(() => {});
const livesOn = 'stopping; running jobs live on';

export const daemons: readonly Command[] = [
  daemon(
    {
      name: 'up',
      summary: 'One machine: API, site and agent in one process (what npm start runs)',
      example: 'cronfleet up --data /var/lib/cronfleet --listen 127.0.0.1:8787',
    },
    {
      names: settingNames.filter((name) => name !== 'metrics'),
      farewell: livesOn,
      async start(settings, { terminal }) {
        const { startStandalone } = await import('../../standalone.ts');
        const starting = startStandalone(settings, { version, site: siteFrom(siteFolder) });
        const running = await starting.catch(async (error: unknown) => {
          throw (await upAlready(error, settings.data)) ?? error;
        });
        terminal.line(`cronfleet is up: ${running.url}/#token=${running.token}`);
        return { ...running, ready: Promise.resolve(`up at ${running.url}`) };
      },
    },
  ),
  daemon(
    {
      name: 'agent',
      summary: 'A worker of a fleet: runs jobs on this host',
      example: 'cronfleet agent --kv etcd://10.0.0.1:2379 --history mongodb://10.0.0.2/cron --labels zone=a',
    },
    {
      names: ['data', 'kv', 'history', 'ssm', 'id', 'labels', 'capacity', 'metrics', 'log-level'],
      farewell: livesOn,
      async start(settings, { terminal }) {
        const { startAgent } = await import('../../main.ts');
        const running = await startAgent(settings, { version });
        const metrics = running.metricsUrl === null ? '' : `; metrics at ${running.metricsUrl}`;
        const ready = running.ready.then(() => {
          terminal.line(`cronfleet agent ${running.id} is at work${metrics}`);
          return `at work as ${running.id}`;
        });
        return { ...running, ready };
      },
    },
  ),
  daemon(
    {
      name: 'server',
      summary: 'API and site of a fleet; several may serve the same',
      example:
        'cronfleet server --kv etcd://10.0.0.1:2379 --history mongodb://10.0.0.2/cron --listen 0.0.0.0:8787',
    },
    {
      names: ['kv', 'history', 'ssm', 'listen', 'log-level', ...oidcNames],
      farewell: '',
      async start(settings, { terminal }) {
        const { startServer } = await import('#functions/server.ts');
        const running = await startServer(settings, { version, site: siteFrom(siteFolder) });
        terminal.line(`cronfleet server: ${running.url}`);
        if (running.hasToken === false)
          terminal.note(
            'nobody has a token yet: cronfleet token create NAME --role admin --direct, with the same --kv, makes the first',
          );
        return { ...running, ready: Promise.resolve(`serving ${running.url}`), failed: never };
      },
    },
  ),
];
