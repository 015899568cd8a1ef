import type { AlertKind, FleetNotice } from '#core/model/alert.ts';
import type { Job } from '#core/model/job.ts';
import type { Run as StoredRun } from '#core/model/run.ts';
import type { WorkerView } from '#core/model/worker.ts';
import type { Session } from './session.ts';

type Shown<T, K extends keyof T> = Omit<T, K> & { [P in K]: string | null };
/** What the API answers: times are ISO texts there. */
export type Run = Shown<
  StoredRun,
  'instant' | 'until' | 'plannedAt' | 'claimedAt' | 'startedAt' | 'endedAt' | 'expireAt'
> & { lateMs: number | null; durationMs: number | null };
export type Worker = Shown<WorkerView, 'since' | 'lastBeat'>;
export interface JobView {
  job: Job;
  revision: string;
  updatedBy: string;
  paused: { by: string; reason: string; until: string | null } | null;
  next: string[];
  last: Run | null;
  running: Run[];
  /** Stores that did not answer: what only they know is left out. */
  away: 'history'[];
}
export interface Forecast {
  first: { group: string; name: string; instant: string }[];
}
export interface Preview {
  sentence: string;
  next: { instant: string; local: string; note: string | null }[];
  warnings: string[];
}
export interface Explained {
  instant: string;
  state: string;
  sentence: string;
  run: string | null;
  evidence: { at: string | null; what: string; source: string }[];
  away: 'history'[];
}
export interface Me {
  name: string;
  role: 'viewer' | 'operator' | 'editor' | 'admin';
  /** Null: of every group. */
  groups: string[] | null;
}
export interface Alert {
  id: string;
  kind: AlertKind;
  about: string;
  job: string | null;
  run: string | null;
  worker: string | null;
  at: string;
  title: string;
  text: string;
  to: string[];
  open: boolean;
  endedAt: string | null;
  told: { channel: string; at: string }[];
  waits: boolean;
  problem: string | null;
  partOf: string | null;
}
export interface Channel {
  name: string;
  type: 'webhook' | 'slack' | 'email';
  /** As far as it is no secret. */
  url: string;
  signed: boolean;
  from: string | null;
  to: string[];
  on: FleetNotice[];
  quiet: { from: string; to: string; timezone: string } | null;
  updatedAt: string;
  updatedBy: string;
}
export interface Delivery {
  delivered: boolean;
  detail: string;
}
export interface Audited {
  id: string;
  at: string;
  who: string;
  what: string;
  job: string | null;
  target: string;
  requestId: string;
  before: unknown;
  after: unknown;
}
interface Trouble {
  since: string;
  why: string;
}
export interface Health {
  version?: string;
  stores?: { kv: 'ok' | 'away'; history: 'ok' | 'away' };
  away?: { kv?: Trouble; history?: Trouble };
}
export interface Page<T> {
  items: T[];
  next: string | null;
}
export interface LogPart {
  text: string;
  from: number;
  next: number;
  done: boolean;
  droppedBytes: number;
}

export interface FoundLine {
  run: string;
  at: string;
  offset: number;
  line: string;
}
export interface Found {
  lines: FoundLine[];
  complete: boolean;
  next: string | null;
  reachedAt: string | null;
}

/** What the server would not do: `errors` name the fields. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: { path: string; message: string }[];
  constructor(status: number, code: string, detail: string, errors: Problem['errors']) {
    super(detail);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

async function problemOf(response: Response): Promise<Problem> {
  // What stands in between, a gateway with too much to do say, may answer in JSON of its own, or in none.
  const said = await response.json().catch(() => null);
  const {
    code = 'unknown',
    detail = `The server answered HTTP ${response.status}.`,
    errors = [],
  } = said ?? {};
  return new Problem(response.status, code, detail, errors);
}

async function reach(path: string, how: RequestInit): Promise<Response> {
  try {
    return await fetch(`/api/v1${path}`, how);
  } catch (error) {
    if (how.signal?.aborted) throw error;
    // Each browser has words of its own for it, and none says who.
    throw new Error('The server does not answer: is it running, and is there a network?');
  }
}

/** Asks the API as nobody yet. */
export async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const sent = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await reach(path, { method, ...(body === undefined ? {} : sent) });
  if (!response.ok) throw await problemOf(response);
  return await json<T>(response);
}

/** Calls the API as whoever's session it is; `unauthorized` is told when that is over, and whether it was ever good. */
export function client(session: Session, unauthorized: (wasGood: boolean) => void) {
  let wasGood = !session.isNew;
  async function refused(response: Response): Promise<Problem> {
    if (response.status === 401) unauthorized(wasGood);
    return await problemOf(response);
  }

  async function send(path: string, { headers, ...init }: RequestInit): Promise<Response> {
    const once = async () => {
      const token = await session.token();
      return await reach(path, { ...init, headers: { ...headers, authorization: `Bearer ${token}` } });
    };
    try {
      const response = await once();
      return response.status === 401 && (await session.another()) ? await once() : response;
    } catch (error) {
      // There is no token any more to ask with.
      if (error instanceof Problem && error.status === 401) unauthorized(wasGood);
      throw error;
    }
  }

  async function call<T>(
    method: string,
    path: string,
    how: { body?: unknown; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<T> {
    const { body, headers = {}, signal } = how;
    const response = await send(path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    if (!response.ok) throw await refused(response);
    wasGood = true;
    return await json<T>(response);
  }

  /** How the server is; a store that is away is an answer here, not a fault. */
  async function health(): Promise<Health> {
    return await json<Health>(await send('/health', {}));
  }

  /** The pages of a log, as far as it goes by now, and whether that is to its end. */
  async function pages(path: string): Promise<{ texts: string[]; done: boolean }> {
    const texts: string[] = [];
    for (let from = 0; ; ) {
      const { text, next, done } = await call<LogPart>('GET', `${path}?from=${from}`);
      texts.push(text);
      if (done || next === from) return { texts, done };
      from = next;
    }
  }

  /** Saves a log as text under a file name (a link could not carry the token), and says whether its end is in it. */
  async function download(path: string, name: string): Promise<boolean> {
    const response = await send(path, { headers: { accept: 'text/plain' } });
    // Behind a gateway a long log comes page by page only.
    const paged = response.status === 413 ? await pages(path) : null;
    if (paged === null && !response.ok) throw await refused(response);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(paged === null ? await response.blob() : new Blob(paged.texts));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
    return paged?.done ?? response.headers.get('x-cronfleet-complete') !== 'false';
  }

  return { call, download, health };
}

async function json<T>(response: Response): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch {
    // The page of a site that has no server behind it is answered with 200, too.
    throw new Error('What answers under /api/v1 is not the API of cronfleet: is a proxy before it set up?');
  }
}

export type Client = ReturnType<typeof client>;
