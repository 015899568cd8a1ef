import { until } from '#test/until.ts';

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
    let from = 0;
    const read = async () => {
      const response = await fetch(`${this.url}/api/v1/runs/${run}/log?from=${from}&wait=20`, {
        headers: { authorization: `Bearer ${this.token}` },
      });
      // Not taken yet.
      if (response.status === 404) return text;
      const part: Answer = await response.json();
      text += part.text;
      from = part.next;
      if (part.done && !text.includes(wanted))
        throw new Error(
          `${run} ended without saying ${wanted}: ${text}${JSON.stringify(await this.ask('GET', `/runs/${run}`))}`,
        );
      return text;
    };
    await until(`${run} to say ${wanted}`, read, (said) => said.includes(wanted));
    return run;
  }

  /** The run when it has ended, and all that it said. */
  async ended(run: string): Promise<{ record: Answer; text: string }> {
    const read = () => this.ask('GET', `/runs/${run}/log?from=0`);
    const { text } = await until(`the end of ${run}`, read, ({ done }) => done);
    return { record: await this.ask('GET', `/runs/${run}`), text };
  }

  /** The worker with this id, once it is what `well` says. */
  async worker(id: string, well: (worker: Answer) => boolean): Promise<Answer> {
    const read = async () => (await this.ask('GET', '/workers')).items.find((one: Answer) => one.id === id);
    return await until(`worker ${id}`, read, (found) => found !== undefined && well(found));
  }
}
