import { program } from '#agent/cli/program.ts';
import type { Api } from './make-app.ts';
import { transport } from './transport.ts';

/** Runs the command line in this process, against this application. */
export function commandLine(api: Api, ...words: string[]) {
  return meddledCommandLine(api, async () => {}, ...words);
}

/** The same; before each of its requests somebody else may do something. */
export async function meddledCommandLine(
  api: Api,
  meddle: (request: string) => Promise<void>,
  ...words: string[]
) {
  const said = { out: '', notes: '' };
  const terminal = {
    write(text: string) {
      said.out += text;
    },
    line(text: string) {
      said.out += `${text}\n`;
    },
    note(text: string) {
      said.notes += `${text}\n`;
    },
    ...{ paint: (_: string, text: string) => text, input: async () => '' },
  };
  const code = await program(words, {
    ...{ env: { CRONFLEET_URL: 'http://localhost', CRONFLEET_TOKEN: await api.tokenOf('admin') }, terminal },
    ...{ now: () => api.clock.now(), onInterrupt() {} },
    fetch: async (url, init = {}) => {
      const path = String(url).replace('http://localhost', '');
      await meddle(`${init.method ?? 'GET'} ${path}`);
      return transport().send(api.app, path, init);
    },
  });
  return { code, ...said };
}
