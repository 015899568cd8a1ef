import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { patienceMs, within } from '#test/until.ts';
import { findChromium } from './chromium.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
const found = findChromium();
/** Why there is no browser to drive; where it has to be there, a test then fails. */
const missing = 'missing' in found && process.env.CI !== 'true' ? found.missing : null;
if (missing !== null) console.log(`LEFT OUT: the browser test: ${missing}`);
export const leftOut = { skip: missing ?? false };

/** `cronfleet up` on a folder of its own, and a browser signed in by the link that it prints. */
export interface Up {
  page: Page;
  /** Its data is in there; for what a test needs besides. */
  dir: string;
  /** Where it listens. */
  base: string;
  /** What the browser had to complain about, of its console and of scripts. */
  complaints: string[];
  /** Asks the API as this browser's user may. */
  ask(method: string, path: string, body?: unknown): Promise<unknown>;
  close(): Promise<void>;
}

export async function startUp(): Promise<Up> {
  if ('missing' in found) throw new Error(found.missing);
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-site-'));
  const server = spawn(
    process.execPath,
    // Alerts that can't be delivered are told at level error, and are wanted here.
    [main, 'up', '--data', join(dir, 'data'), '--listen', '127.0.0.1:0', '--log-level', 'fatal'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let browser: Browser | null = null;
  async function close(): Promise<void> {
    await browser?.close();
    await ended(server);
    rmSync(dir, { recursive: true });
  }
  try {
    const said = within('up to say where it is', firstLine(server), () => 'nothing');
    const link = /http:\S+/.exec(await said)?.[0] ?? '';
    const [base = '', token = ''] = link.split('/#token=');
    browser = await chromium.launch({ executablePath: found.path, args: found.args, timeout: patienceMs });
    const page = await browser.newPage();
    page.setDefaultTimeout(patienceMs);
    const complaints: string[] = [];
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => void dialog.accept());
    await page.goto(link);
    async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
      const answer = await fetch(`${base}/api/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
      return await answer.json();
    }
    return { page, dir, base, complaints, ask, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function firstLine(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    server.stdout?.once('data', (text) => resolve(String(text)));
    server.once('exit', (code) => reject(new Error(`up ended with ${code}`)));
  });
}

async function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGINT');
  await gone;
}
