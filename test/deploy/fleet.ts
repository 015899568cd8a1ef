import { setTimeout as sleep } from 'node:timers/promises';

// biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
type Answer = any;

/** A fleet's API, as a test asks it. */
export class Fleet {
  readonly url: string;
  readonly token: string;

  constructor(url: string, token: string) {
    this.url = url;
    this.token = token;
  }

  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Saves a job, runs it once and waits until its output holds `wanted`; gives the run's id. */
  async begin(name: string, job: object, wanted: string): Promise<string> {
    await this.ask('PUT', `/jobs/default/${name}`, job);
    const { run } = await this.ask('POST', `/jobs/default/${name}/run`, {});
    let text = '';
    for (let from = 0; !text.includes(wanted); ) {
      const response = await fetch(`${this.url}/api/v1/runs/${run}/log?from=${from}&wait=20`, {
        headers: { authorization: `Bearer ${this.token}` },
      });
      // Not taken yet.
      if (response.status === 404) continue;
      const part: Answer = await response.json();
      text += part.text;
      from = part.next;
      if (part.done && !text.includes(wanted))
        throw new Error(
          `${run} ended without saying ${wanted}: ${text}${JSON.stringify(await this.ask('GET', `/runs/${run}`))}`,
        );
    }
    return run;
  }

  /** The run when it has ended, and all that it said. */
  async ended(run: string): Promise<{ record: Answer; text: string }> {
    for (;;) {
      const part = await this.ask('GET', `/runs/${run}/log?from=0`);
      if (part.done) return { record: await this.ask('GET', `/runs/${run}`), text: part.text };
      await sleep(50);
    }
  }

  /** The worker with this id, once it is what `well` says. */
  async worker(id: string, well: (worker: Answer) => boolean): Promise<Answer> {
    for (;;) {
      const { items } = await this.ask('GET', '/workers');
      const found = items.find((one: Answer) => one.id === id);
      if (found !== undefined && well(found)) return found;
      await sleep(50);
    }
  }
}
