/** A room of DESIGN's "Walls": who may live in it and what may come in. The whole table stands in this file. */
export interface Room {
  name: string;
  /** What its files' paths begin with. The first room that fits is a file's room. */
  at: RegExp;
  /** The rooms whose files it may import, besides its own. */
  knows: readonly string[];
  /** The rooms of which it may know the types and nothing that is there at run time. */
  knowsTypes?: readonly string[];
  /** npm packages it may import; left out: any of `dependencies`. `dev`: any of devDependencies too. */
  packages?: readonly string[] | 'dev';
  /** Whether it may import `node:` built-ins. Where not, it runs in a browser. */
  usesNode: boolean;
  /** Whether it may look at the clock, at chance and at the environment itself; elsewhere they come in as arguments. */
  meetsWorld: boolean;
}

const core = ['model', 'schedule', 'crontab', 'decide', 'ports', 'cluster', 'stores', 'system'];

export const rooms: readonly Room[] = [
  {
    // The composition roots: they put real clocks, stores and processes together, and nobody imports them.
    name: 'root',
    at: /^(?:(functions\/(lambda|server|watchdog)|worker-agent\/(main|standalone|cli\/main)|sst\.config)\.ts|worker-agent\/cli\/cronfleet\.mjs)$/,
    knows: [...core, 'functions', 'agent', 'cli', 'infra', 'root'],
    usesNode: true,
    meetsWorld: true,
  },
  {
    name: 'system',
    at: /^core\/ports\/system-[a-z-]+\.ts$/,
    knows: ['ports', 'model'],
    usesNode: true,
    meetsWorld: true,
  },
  {
    name: 'model',
    at: /^core\/model\//,
    knows: [],
    packages: ['valibot'],
    usesNode: false,
    meetsWorld: false,
  },
  {
    name: 'schedule',
    at: /^core\/schedule\//,
    knows: ['model'],
    packages: ['cron-parser', 'valibot'],
    usesNode: false,
    meetsWorld: false,
  },
  {
    name: 'crontab',
    at: /^core\/crontab\//,
    knows: ['model', 'schedule', 'decide'],
    packages: [],
    usesNode: false,
    meetsWorld: false,
  },
  {
    name: 'decide',
    at: /^core\/decide\//,
    knows: ['model', 'schedule'],
    knowsTypes: ['ports'],
    packages: [],
    usesNode: false,
    meetsWorld: false,
  },
  {
    name: 'ports',
    at: /^core\/ports\//,
    knows: ['model'],
    packages: ['valibot'],
    usesNode: false,
    meetsWorld: false,
  },
  {
    name: 'cluster',
    at: /^core\/cluster\//,
    knows: ['model', 'schedule', 'decide', 'ports'],
    packages: ['valibot'],
    usesNode: false,
    meetsWorld: false,
  },
  { name: 'stores', at: /^core\/stores\//, knows: ['model', 'ports'], usesNode: true, meetsWorld: false },
  { name: 'functions', at: /^functions\//, knows: core, usesNode: true, meetsWorld: false },
  // The launcher: it starts the daemons, which are roots, and shares the API's shapes.
  {
    name: 'cli',
    at: /^worker-agent\/cli\//,
    knows: [...core, 'agent', 'functions', 'root'],
    usesNode: true,
    meetsWorld: false,
  },
  { name: 'agent', at: /^worker-agent\//, knows: core, usesNode: true, meetsWorld: false },
  {
    // Bundled for the browser, so its packages are needed at build time only. It has the browser's clock.
    name: 'web',
    at: /^web\//,
    knows: ['model'],
    knowsTypes: ['functions'],
    packages: 'dev',
    usesNode: false,
    meetsWorld: true,
  },
  {
    // What builds, checks, tests and measures the project runs its tests and benches.
    name: 'scripts',
    at: /^infra\/scripts\//,
    knows: ['infra', 'test'],
    packages: 'dev',
    usesNode: true,
    meetsWorld: true,
  },
  { name: 'infra', at: /^infra\//, knows: [], packages: 'dev', usesNode: true, meetsWorld: true },
  {
    name: 'test',
    at: /^test\//,
    knows: [...core, 'root', 'functions', 'agent', 'cli', 'web', 'scripts', 'infra'],
    packages: 'dev',
    usesNode: true,
    meetsWorld: true,
  },
];

/** The one file of functions/ whose type the site may know: it types the site's requests. */
export const siteMayKnow = 'functions/app.ts';

/** The room that a file lies in; undefined where the table has none for it. */
export function roomOf(path: string): Room | undefined {
  return rooms.find(({ at }) => at.test(path));
}

/** The folder within which imports are relative: a room of core, or a folder of the top level. */
export function homeOf(path: string): string {
  const [top = '', second = ''] = path.split('/');
  return top === 'core' ? `core/${second}/` : `${top}/`;
}
