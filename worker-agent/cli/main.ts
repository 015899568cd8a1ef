import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Refusal } from '#core/model/refusal.ts';
import { siteFrom } from '#functions/site.ts';
import { readClientFile } from '../client-file.ts';
import { readSettings, settingHelp, settingNames } from '../settings.ts';
import { type Api, apiClient, Unreachable } from './api-client.ts';
import { type Command, type Context, commands, Usage } from './commands.ts';

const version: string = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
).version;
const common = { help: 'boolean', url: 'string', token: 'string', data: 'string' } as const;

function helpOf(command: Command): string {
  return `cronfleet ${command.usage}\n  ${command.summary}\n\nExample:\n  ${command.example}\n`;
}

function overview(): string {
  const list = [{ name: 'up', summary: 'One machine: API, site and agent in one process' }, ...commands];
  return `cronfleet ${version}: a crontab you can trust\n\n${list.map(({ name, summary }) => `  ${name.padEnd(9)} ${summary}`).join('\n')}\n\ncronfleet COMMAND --help tells more.\nThe server: --url or CRONFLEET_URL, --token or CRONFLEET_TOKEN, else what \`up\` left in .cronfleet (--data).\n`;
}

function upHelp(): string {
  return `cronfleet up\n  One machine: API, site and agent in one process, on loopback.\n\n${settingNames.map((name) => `  --${name} ${settingHelp(name)}`).join('\n')}\n  --config FILE  YAML with the same names (/etc/cronfleet/config.yaml)\n\nExample:\n  cronfleet up --data /var/lib/cronfleet\n`;
}

/** Flags of one command, strictly: what is unknown is refused by name. */
function flagsOf(args: string[], types: Record<string, 'string' | 'boolean'>) {
  const options = Object.fromEntries(
    Object.entries(types).map(([name, type]) => [name, name.length === 1 ? { type, short: name } : { type }]),
  );
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new Usage(error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error));
  }
}

async function up(args: string[]): Promise<number> {
  const { values } = flagsOf(args, {
    ...Object.fromEntries(settingNames.map((name) => [name, 'string' as const])),
    config: 'string',
    help: 'boolean',
  });
  if (values.help === true) {
    process.stdout.write(upHelp());
    return 0;
  }
  const flags = Object.fromEntries(
    Object.entries(values).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
  const settings = readSettings(flags, process.env, flags.config ?? null);
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
  const { startStandalone } = await import('../standalone.ts');
  const running = await startStandalone(settings, {
    version,
    site: siteFrom(new URL('../../dist/site/', import.meta.url)),
  });
  process.stdout.write(`cronfleet is up: ${running.url}/#token=${running.token}\n`);
  await Promise.race([stopped, running.failed]);
  process.stderr.write('stopping; running jobs live on\n');
  await running.stop();
  return 0;
}

async function main(argv: string[]): Promise<number> {
  const [name, ...args] = argv;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(overview());
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === 'version') {
    process.stdout.write(`${version}\n`);
    return 0;
  }
  if (name === 'up') return up(args);
  const command = commands.find((one) => one.name === name);
  if (command === undefined)
    throw new Usage(`there is no command ${JSON.stringify(name)}; cronfleet --help lists them`);
  const { values, positionals } = flagsOf(args, { ...common, ...command.flags });
  if (values.help === true) {
    process.stdout.write(helpOf(command));
    return 0;
  }
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
  let api: Api | null = null;
  const context: Context = {
    args: positionals,
    flags: values as Context['flags'],
    api() {
      const left = readClientFile(text(values.data) ?? process.env.CRONFLEET_DATA ?? '.cronfleet');
      const url = text(values.url) ?? text(process.env.CRONFLEET_URL) ?? left?.url;
      const token = text(values.token) ?? text(process.env.CRONFLEET_TOKEN) ?? left?.token;
      if (url === undefined || token === undefined)
        throw new Unreachable(
          'no server is known: start one with npm start (cronfleet up), or set CRONFLEET_URL and CRONFLEET_TOKEN',
        );
      api ??= apiClient(url.replace(/\/+$/, ''), token, fetch);
      return api;
    },
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    now: () => Date.now(),
    sleep: (ms) => sleep(ms),
  };
  return command.run(context);
}

// A pipe that was closed (| head) is no fault of anybody's.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const [code, message] =
    error instanceof Usage
      ? [
          2,
          `${error.message}\nusage: cronfleet ${commands.find(({ name }) => name === process.argv[2])?.usage ?? 'COMMAND; cronfleet --help'}`,
        ]
      : error instanceof Unreachable
        ? [3, error.message]
        : error instanceof Refusal
          ? [1, error.errors.length > 1 ? error.errors.map((one) => one.message).join('\n') : error.message]
          : [1, error instanceof Error ? (error.stack ?? error.message) : String(error)];
  process.stderr.write(`${message}\n`);
  process.exitCode = code;
}
// Timers of what a command has left must not keep it; `up` has stopped everything by now.
process.exit();
