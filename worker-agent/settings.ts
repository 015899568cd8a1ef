import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseYaml } from 'yaml';
import {
  forOidc,
  type OidcPart,
  type OidcSettings,
  oidcLacks,
  oidcNames,
  oidcOf,
  oidcParts,
} from '#core/cluster/oidc-settings.ts';
import { namePattern } from '#core/model/ids.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';

/** What the daemons are told, read once and frozen. */
export interface Settings {
  data: string;
  listen: { host: string; port: number };
  kv: string | null;
  history: string | null;
  id: string | null;
  labels: Record<string, string>;
  capacity: number;
  /** The agent's port for Prometheus, on loopback; null: none. */
  metrics: number | null;
  logLevel: string;
  /** By which provider people sign in; null: by tokens alone. */
  oidc: OidcSettings | null;
}

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Every setting: what it is for, and how its text is read; what `expected` throws says what should have stood there. */
const readers = {
  data: { value: 'FOLDER', help: 'where everything is kept (.cronfleet)', read: readFolder },
  listen: {
    value: 'HOST:PORT',
    help: 'where to serve (127.0.0.1:8787; port 0 takes a free one)',
    read: readListen,
  },
  kv: {
    value: 'URL',
    help: 'the store of jobs: sqlite:FILE (in the data folder) or etcd://HOST:PORT,...',
    read: readKvUrl,
  },
  history: {
    value: 'URL',
    help: 'the store of runs and logs: sqlite:FILE (in the data folder) or mongodb://HOST/DATABASE',
    read: readHistoryUrl,
  },
  id: { value: 'ID', help: "this agent's name (the host's; kept in the data folder)", read: readId },
  labels: { value: 'K=V,...', help: 'what jobs may ask for in a worker', read: readLabels },
  capacity: { value: 'N', help: 'how many runs at once (100)', read: readCapacity },
  metrics: {
    value: 'PORT',
    help: 'where this host may read Prometheus metrics: http://127.0.0.1:PORT/metrics (none)',
    read: readPort,
  },
  ssm: {
    value: '[REGION:]/PATH',
    help: 'where in AWS Parameter Store stands what is set nowhere here, such as kv and history (none)',
    read: readPlace,
  },
  'log-level': { value: 'LEVEL', help: `${logLevels.join(', ')} (info)`, read: readLevel },
  ...forOidc(oidcReader),
} as const;

export const settingNames = Object.keys(readers) as (keyof typeof readers)[];
export const settingHelp = (name: keyof typeof readers): { value: string; help: string } => {
  const { value, help } = readers[name];
  return { value, help };
};

/** Thrown by a reader: what it expected. */
class Expected extends Error {}

function readFolder(text: string): string {
  if (text.includes('\0') || text.trim() === '') throw new Expected('a folder');
  return text;
}

function readListen(text: string): Settings['listen'] {
  const [, host, port] = /^(\[[0-9a-f:]+\]|[^:]+):(\d{1,5})$/i.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) throw new Expected('HOST:PORT, such as 127.0.0.1:8787');
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/** Of an etcd's URL its scheme only: the rest is read where it is opened, and may hold a password that no message may show. */
function readKvUrl(text: string): string {
  if (!/^(sqlite:.+|memory:|etcds?:\/\/.*)$/s.test(text))
    throw new Expected('sqlite:FILE or etcd://HOST:PORT,...');
  return text;
}

function readHistoryUrl(text: string): string {
  if (!/^(sqlite:.+|mongodb(\+srv)?:\/\/.*)$/s.test(text))
    throw new Expected('sqlite:FILE or mongodb://HOST/DATABASE');
  return text;
}

function readId(text: string): string {
  if (!namePattern.test(text))
    throw new Expected('1 to 64 of [A-Za-z0-9._-], beginning with a letter, digit or _');
  return text;
}

function readLabels(text: string): Record<string, string> {
  const pairs = text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => part.split('='));
  if (pairs.some(([key, value, more]) => !key || value === undefined || more !== undefined))
    throw new Expected('k=v,k=v');
  return Object.fromEntries(pairs);
}

function readCapacity(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100_000)
    throw new Expected('a whole number from 1 to 100000');
  return value;
}

function readPort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
    throw new Expected('a port number (0 takes a free one)');
  return Number(text);
}

function readPlace(text: string): { region: string | null; path: string } {
  const [, region = null, path] =
    /^(?:([a-z]{2}(?:-[a-z]+)+-\d):)?((?:\/[A-Za-z0-9_.-]+)+)$/.exec(text) ?? [];
  if (path === undefined)
    throw new Expected(
      'a path of Parameter Store such as /cronfleet/production, or eu-central-1:/cronfleet/production',
    );
  return { region, path };
}

function readLevel(text: string): string {
  if (!(logLevels as readonly string[]).includes(text)) throw new Expected(`one of ${logLevels.join(', ')}`);
  return text;
}

function oidcReader(name: OidcPart) {
  const { value, help, expected, test } = oidcParts[name];
  const read = (text: string): string => {
    if (!test(text)) throw new Expected(expected);
    return text;
  };
  return { value, help, read };
}

/** What settings say before they are read, and where it stands. `secret`: what stands there is for nobody's log. */
export type Texts = Partial<Record<string, { text: string; from: string; secret?: boolean }>>;

/** What a YAML file says, keys named as the flags. */
function fromFile(file: string, wanted: boolean, mistakes: Mistake[]): Texts {
  let read: unknown;
  try {
    read = parseYaml(readFileSync(file, 'utf8'));
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const message = `--config ${file}: ${missing ? 'is not there' : error instanceof Error ? error.message : ''}`;
    if (wanted || !missing) mistakes.push({ path: 'config', message });
    return {};
  }
  if (read === null) return {};
  if (typeof read !== 'object' || Array.isArray(read)) {
    mistakes.push({
      path: 'config',
      message: `${file}: expected settings, one a line, such as data: /var/lib/cronfleet`,
    });
    return {};
  }
  const text = (value: unknown) =>
    typeof value === 'object' && value !== null
      ? Object.entries(value)
          .map(([k, v]) => `${k}=${v}`)
          .join(',')
      : String(value);
  return Object.fromEntries(
    Object.entries(read)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key, { text: text(value), from: `${file}: ${key}` }]),
  );
}

/** What a service manager has loaded for us into a folder that nobody else may read (LoadCredential= of systemd), a file a setting. */
function fromCredentials(folder: string, mistakes: Mistake[]): Texts {
  const texts: Texts = {};
  for (const name of settingNames) {
    const file = join(folder, name);
    try {
      const text = readFileSync(file, 'utf8').trim();
      // Empty: not filled in yet.
      if (text !== '') texts[name] = { text, from: `credential ${file}`, secret: true };
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue;
      mistakes.push({
        path: name,
        message: `credential ${file}: ${error instanceof Error ? error.message : ''}`,
      });
    }
  }
  return texts;
}

type Given = Record<string, string | undefined>;

/** What is said on this host: by flags, then CRONFLEET_* variables, then credentials in CREDENTIALS_DIRECTORY, then the YAML file. */
function textsOf(flags: Given, env: Given, config: string | null, mistakes: Mistake[]): Texts {
  const texts: Texts = fromFile(config ?? '/etc/cronfleet/config.yaml', config !== null, mistakes);
  for (const name of Object.keys(texts))
    if (!Object.hasOwn(readers, name))
      mistakes.push({
        path: name,
        message: `${texts[name]?.from}: is no setting; expected one of ${settingNames.join(', ')}`,
      });
  if (env.CREDENTIALS_DIRECTORY) Object.assign(texts, fromCredentials(env.CREDENTIALS_DIRECTORY, mistakes));
  for (const name of settingNames) {
    const variable = `CRONFLEET_${name.toUpperCase().replaceAll('-', '_')}`;
    const given = env[variable];
    if (given) texts[name] = { text: given, from: variable };
    const flag = flags[name];
    if (flag !== undefined) texts[name] = { text: flag, from: `--${name}` };
  }
  return texts;
}

/**
 * What is said on this host, all mistakes together in one Refusal `settings_invalid`. `config` is the file that was named, or null: the
 * default one, if it is there. Of Parameter Store nothing is asked.
 */
export function readSettings(flags: Given, env: Given, config: string | null): Readonly<Settings> {
  const mistakes: Mistake[] = [];
  return settingsOf(textsOf(flags, env, config, mistakes), mistakes);
}

/** The same, and what nothing on this host says from Parameter Store, where `ssm` names a place in it. Refusal `settings_unreadable`, too. */
export async function loadSettings(
  flags: Given,
  env: Given,
  config: string | null,
): Promise<Readonly<Settings>> {
  const mistakes: Mistake[] = [];
  const texts = textsOf(flags, env, config, mistakes);
  const place = texts.ssm === undefined ? null : readOr(() => readPlace(texts.ssm?.text ?? ''), null);
  // What is no place is named as such beside the other mistakes.
  if (place === null) return settingsOf(texts, mistakes);
  const { textsAt } = await import('./parameter-texts.ts');
  return settingsOf({ ...(await textsAt(place, settingNames)), ...texts }, mistakes);
}

function readOr<T, D>(read: () => T, otherwise: D): T | D {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Expected)) throw error;
    return otherwise;
  }
}

function settingsOf(texts: Texts, mistakes: Mistake[]): Readonly<Settings> {
  function take<N extends keyof typeof readers, D>(
    name: N,
    otherwise: D,
  ): ReturnType<(typeof readers)[N]['read']> | D {
    const given = texts[name];
    if (given === undefined) return otherwise;
    try {
      return readers[name].read(given.text) as ReturnType<(typeof readers)[N]['read']>;
    } catch (error) {
      if (!(error instanceof Expected)) throw error;
      const expected = error.message;
      mistakes.push({
        path: name,
        message: `${given.from}: ${given.secret ? 'what stands there' : JSON.stringify(given.text)} is not valid; expected ${expected}`,
        ...(given.secret ? {} : { value: given.text }),
        expected,
      });
      return otherwise;
    }
  }
  take('ssm', null);
  const oidcTexts = forOidc((name) => take(name, null));
  // What is not valid is named already, and is not missing.
  if (oidcNames.every((name) => texts[name] === undefined || oidcTexts[name] !== null))
    for (const { name, message } of oidcLacks(oidcTexts))
      mistakes.push({ path: name, message: `--${name} ${message}` });
  const settings: Settings = {
    data: take('data', '.cronfleet'),
    listen: take('listen', { host: '127.0.0.1', port: 8787 }),
    kv: take('kv', null),
    history: take('history', null),
    id: take('id', null),
    labels: take('labels', {}),
    capacity: take('capacity', 100),
    metrics: take('metrics', null),
    logLevel: take('log-level', 'info'),
    oidc: oidcOf(oidcTexts),
  };
  if (mistakes.length > 0)
    throw new Refusal('settings_invalid', mistakes.map(({ message }) => message).join('\n'), {
      errors: mistakes,
    });
  for (const part of [settings.listen, settings.labels, settings.oidc]) Object.freeze(part);
  return Object.freeze(settings);
}

/** The stores of a fleet, which all its processes share. Refusal `settings_invalid` where one is not named, or serves one process only. */
export function sharedStores({ kv, history }: Pick<Settings, 'kv' | 'history'>): {
  kv: string;
  history: string;
} {
  const mistakes: Mistake[] = [];
  const [kvWanted, historyWanted] = [
    'etcd://HOST:PORT,...',
    'mongodb://HOST/DATABASE, or sqlite:FILE for processes of one host',
  ];
  const wrong = (path: string, said: string, expected: string) =>
    mistakes.push({ path, message: `--${path}: ${said}; expected ${expected}`, expected });
  if (kv === null) wrong('kv', 'is needed: the store that the whole fleet shares', kvWanted);
  else if (!/^etcds?:/.test(kv)) wrong('kv', 'serves one process only, which is cronfleet up', kvWanted);
  if (history === null)
    wrong('history', 'is needed: where the whole fleet keeps runs and logs', historyWanted);
  if (kv === null || history === null || mistakes.length > 0)
    throw new Refusal('settings_invalid', mistakes.map(({ message }) => message).join('\n'), {
      errors: mistakes,
    });
  return { kv, history };
}
