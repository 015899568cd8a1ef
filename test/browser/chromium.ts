import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Chromium {
  path: string;
  /** For a headless run in a closed network: nothing is fetched that no test asked for. */
  args: string[];
}

const names = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'chrome',
  'microsoft-edge',
  'microsoft-edge-stable',
];

const places: Partial<Record<NodeJS.Platform, string[]>> = {
  darwin: ['Google Chrome', 'Chromium', 'Microsoft Edge'].map(
    (name) => `/Applications/${name}.app/Contents/MacOS/${name}`,
  ),
  win32: [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA].flatMap(
    (folder) =>
      folder === undefined
        ? []
        : ['Google\\Chrome\\Application\\chrome.exe', 'Microsoft\\Edge\\Application\\msedge.exe'].map(
            (path) => join(folder, path),
          ),
  ),
};

const closedNetwork = [
  '--headless',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The browser that drives the site's tests: CHROMIUM_PATH, else the first in PATH, else in the system's usual places. */
export function findChromium(): Chromium | { missing: string } {
  // Chromium's sandbox refuses to run as root.
  const args = process.getuid?.() === 0 ? [...closedNetwork, '--no-sandbox'] : closedNetwork;
  const told = process.env.CHROMIUM_PATH;
  if (told)
    return isExecutable(told)
      ? { path: told, args }
      : { missing: `CHROMIUM_PATH names ${told}, which cannot be run` };
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const candidates = [
    ...folders.flatMap((folder) => names.map((name) => join(folder, name))),
    ...(places[process.platform] ?? []),
  ];
  const path = candidates.find(isExecutable);
  if (path === undefined)
    return {
      missing: `no Chromium: install it (Debian: apt install chromium) or set CHROMIUM_PATH; PATH has none of ${names.join(', ')}`,
    };
  return { path, args };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there or not to be run: the next candidate.
    return false;
  }
}
