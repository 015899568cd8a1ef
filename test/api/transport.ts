import type { History } from '#core/ports/history.ts';
import type { Kv } from '#core/ports/kv.ts';
import type { App } from '#functions/app.ts';
import type { AppDeps } from '#functions/deps.ts';

/** How a request gets to the application, and what the way there lets through. */
export interface Transport {
  deps: Partial<AppDeps>;
  /** Stores that are empty, where those of this process are not what the application has; whoever gives them closes them. */
  stores?(): Promise<{ kv: Kv; history: History }>;
  send(app: App, path: string, init: RequestInit): Promise<Response>;
}

let current: Transport = {
  deps: {},
  send: async (app, path, init) => app.request(path, init),
};

export const transport = () => current;

/** For every test of this process. */
export function setTransport(to: Transport): void {
  current = to;
}
