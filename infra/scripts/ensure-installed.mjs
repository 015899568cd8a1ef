// Makes `npm start`, `npm test` and the others work in a fresh clone: runs `npm ci` when, and only when, something
// is missing. It runs before anything is installed, so it is plain JavaScript for any Node from 20 on, without packages.
// What it says goes to stderr: stdout belongs to the command that follows.
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const nodePath = join(root, 'node_modules/.bin/node');
const waitMs = 600_000;

if (!isInstalled()) {
  const release = takeLock();
  try {
    // Another terminal may have installed everything while we waited for it.
    if (!isInstalled()) install();
  } finally {
    release();
  }
}

function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8'));
}

/**
 * Whether node_modules holds what package-lock.json names. npm writes the hidden lock last, after every script, so an
 * interrupted installation is seen; reading it (and no stamp of our own) also believes a plain `npm install`.
 */
function isInstalled() {
  if (!existsSync(nodePath) || !existsSync(join(root, 'node_modules/.package-lock.json'))) return false;
  const wanted = readJson('package-lock.json').packages;
  const present = readJson('node_modules/.package-lock.json').packages;
  return Object.entries(wanted).every(
    // Optional packages are for other machines, mostly; the project's root is the entry without a name.
    ([path, { version, optional }]) => path === '' || optional || present[path]?.version === version,
  );
}

function install() {
  say('cronfleet: installing what is missing with npm ci (once; some seconds)');
  const started = Date.now();
  const env = { ...process.env };
  const cache = env.npm_config_cache ?? join(homedir(), '.npm');
  if (!isWritable(existsSync(cache) ? cache : homedir())) env.npm_config_cache = join(root, '.cache/npm');
  // Under `npm run` the very npm that runs us; `--include=dev` because NODE_ENV=production would leave Node itself out.
  const npm = process.env.npm_execpath?.endsWith('.js')
    ? [process.execPath, process.env.npm_execpath]
    : ['npm'];
  const [command = 'npm', ...first] = npm;
  const args = [...first, 'ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const ran = spawnSync(command, args, {
    cwd: root,
    env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    shell: process.platform === 'win32' && npm.length === 1,
  });
  if (ran.error) fail(`npm could not be started (${ran.error.message}); is it installed and in PATH?`);
  if (ran.status !== 0)
    fail(`npm ci failed (${ran.signal ?? `exit ${ran.status}`}); it said:\n${ran.stdout}${ran.stderr}`);
  const version = readJson('package-lock.json').packages['node_modules/node'].version;
  const node = spawnSync(nodePath, ['--version'], { encoding: 'utf8', shell: process.platform === 'win32' });
  if (node.stdout?.trim() !== `v${version}`)
    fail(
      `the project's own Node ${version} (npm package node@${version}, for ${process.platform}-${process.arch}) is not there: ` +
        `${nodePath} ${node.error ? node.error.message : `answers '${`${node.stdout}${node.stderr}`.trim()}'`}.\n` +
        '  Its install script fetches it: is ignore-scripts set (npm config get ignore-scripts), the registry out of reach, or the platform one without a build?',
    );
  say(`cronfleet: installed in ${((Date.now() - started) / 1000).toFixed(1)} s, Node ${version} included`);
}

/** One installation at a time: two `npm ci` in one folder delete each other's files. Returns the releaser. */
function takeLock() {
  const path = join(root, '.cache/install.lock');
  const own = `${path}.${process.pid}`;
  mkdirSync(join(root, '.cache'), { recursive: true });
  const until = Date.now() + waitMs;
  let told = false;
  for (;;) {
    try {
      // Linked, not written, into place: a lock is never seen without its holder's number.
      writeFileSync(own, `${process.pid}\n`);
      linkSync(own, path);
      const release = () => rmSync(path, { force: true });
      // A failure below ends in process.exit, which no finally sees.
      process.once('exit', release);
      return release;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    } finally {
      rmSync(own, { force: true });
    }
    const holder = holderOf(path);
    if (holder === 0) rmSync(path, { force: true });
    else {
      if (!told) say(`cronfleet: process ${holder} is installing; waiting for it`);
      told = true;
      if (Date.now() > until)
        fail(
          `process ${holder} has been installing for ${waitMs / 60_000} minutes; end it, or delete ${path}`,
        );
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
}

/** The living process that wrote the lock; 0 where it has died or left no number. */
function holderOf(path) {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    if (!(pid > 0)) return 0;
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    // EPERM: alive and somebody else's. Otherwise the file or the process has gone meanwhile.
    return error.code === 'EPERM' ? Number(readFileSync(path, 'utf8')) : 0;
  }
}

function isWritable(path) {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    // Not there, or not ours: either way npm could not keep its cache in it.
    return false;
  }
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(`cronfleet: ${text}`);
  process.exit(1);
}
