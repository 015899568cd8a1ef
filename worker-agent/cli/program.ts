import { Refusal } from '#core/model/refusal.ts';
import { KvError } from '#core/ports/kv.ts';
import { readSettings } from '../settings.ts';
import { Unreachable } from './api-client.ts';
import { type Command, type Context, Usage } from './command.ts';
import { warden } from './commands/daemons.ts';
import { commands } from './commands.ts';
import { meant, readWords } from './flags.ts';
import { helpOf, overview, usageOf } from './help.ts';
import { findServer } from './server.ts';
import { version } from './shipped.ts';
import type { Terminal } from './terminal.ts';

/** What of the world the command line touches; its root hands it in. */
export interface World {
  env: Readonly<Record<string, string | undefined>>;
  terminal: Terminal;
  fetch: typeof fetch;
  now(): number;
  onInterrupt(text: string | null): void;
}

/** Runs a command line; gives the exit code: 0 done, 1 refused, 2 a wrong call, 3 no server answers. Faults are thrown through. */
export async function program(argv: readonly string[], world: World): Promise<number> {
  const { terminal } = world;
  const [name, ...words] = argv;
  if (name === undefined) {
    terminal.note(overview());
    return 2;
  }
  if (name === 'help' || name === '--help' || name === '-h') {
    const [word] = words;
    const about = commands.find((one) => one.name === word);
    if (word !== undefined && about === undefined) return noCommand(word, terminal);
    terminal.write(about === undefined ? overview() : helpOf(about));
    return 0;
  }
  if (name === '--version' || name === '-v' || name === 'version') {
    terminal.line(version);
    return 0;
  }
  const command = [...commands, warden].find((one) => one.name === name);
  if (command === undefined) return noCommand(name, terminal);
  try {
    const { args, flags } = readWords(command, words);
    if (flags.help === true) {
      terminal.write(helpOf(command));
      return 0;
    }
    return await command.run(contextOf(args, flags, world));
  } catch (error) {
    return complain(error, command, terminal);
  }
}

function noCommand(name: string, { note }: Terminal): number {
  const near = meant(
    name,
    commands.map((one) => one.name),
  );
  note(`cronfleet: there is no command ${JSON.stringify(name)}${near}\ncronfleet --help lists them`);
  return 2;
}

function contextOf(
  args: string[],
  flags: Record<string, string | boolean | undefined>,
  world: World,
): Context {
  const { env } = world;
  const text = (flag: string) => {
    const value = flags[flag];
    return typeof value === 'string' ? value : undefined;
  };
  const set = (variable: string) => env[variable] || undefined;
  const data = text('data') ?? dataFolder(env);
  return {
    ...world,
    args,
    data,
    text,
    has: (flag) => flags[flag] === true,
    api: () =>
      findServer(
        { url: text('url') ?? set('CRONFLEET_URL'), token: text('token') ?? set('CRONFLEET_TOKEN'), data },
        world.fetch,
      ),
  };
}

/** Where `up` keeps its things, by the settings that it reads. */
function dataFolder(env: World['env']): string {
  try {
    return readSettings({}, env, null).data;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // `up` says what is wrong with the settings; who only asks a server need not mend them.
    return env.CRONFLEET_DATA || '.cronfleet';
  }
}

/** Where to look next, by the refusal's code. */
const advice: Record<string, string> = {
  unauthorized:
    'is the token right? CRONFLEET_TOKEN or --token; one that `up` left is in client.json of its folder',
  forbidden: 'a token of another role or group may: cronfleet token create NAME --role R',
  job_not_found: 'cronfleet ls lists the jobs',
  run_not_found: 'cronfleet runs lists the runs',
  worker_not_found: 'cronfleet workers lists the workers',
  token_not_found: 'cronfleet token ls lists the tokens',
  job_disabled: 'enable it first: cronfleet export, set enabled: true, cronfleet apply',
  no_worker: 'cronfleet workers says who lives; cronfleet doctor says more',
};

/** Of a refusal that what was called for is malformed: a wrong call. */
const malformed = ['query_invalid', 'path_invalid', 'name_invalid', 'run_id_invalid'];
/** The same, but where it is a file or a crontab that is refused. */
const malformedOutside = ['body_invalid', 'schedule_invalid'];

function isWrongCall({ code }: Refusal, { part }: Command): boolean {
  return malformed.includes(code) || (part !== 'Crontabs and files' && malformedOutside.includes(code));
}

function complain(error: unknown, command: Command, { note }: Terminal): number {
  if (error instanceof Usage) {
    note(
      `cronfleet ${command.name}: ${error.message}\n${usageOf(command)}\ncronfleet ${command.name} --help tells more`,
    );
    return 2;
  }
  if (error instanceof Unreachable) {
    note(`cronfleet: ${error.message}`);
    return 3;
  }
  if (error instanceof KvError && (error.code === 'unavailable' || error.code === 'unknown')) {
    note(`cronfleet ${command.name}: the store does not answer: ${error.message}`);
    return 3;
  }
  if (error instanceof KvError && (error.code === 'full' || error.code === 'forbidden')) {
    note(`cronfleet ${command.name}: ${error.message}`);
    return 1;
  }
  if (error instanceof Refusal) {
    const said =
      error.errors.length > 1
        ? error.errors.map((one) => one.message)
        : [error.errors[0]?.message ?? error.message];
    const hint = advice[error.code];
    note(
      [...said.map((line) => `cronfleet: ${line}`), ...(hint === undefined ? [] : [`  ${hint}`])].join('\n'),
    );
    return isWrongCall(error, command) ? 2 : 1;
  }
  throw error;
}
