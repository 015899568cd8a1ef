import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { LambdaEvent } from '#functions/cloud/gateway.ts';
import { eventOf, responseOf } from './events.ts';

export interface FunctionOptions {
  /** What was built. */
  folder: string;
  /** FILE.EXPORT. */
  handler: string;
  env?: Record<string, string>;
  /** AWS's own client of the Runtime API (runtime-client.ts); left out: the loop of bootstrap.mjs. */
  client?: string;
  /** Above it the invocation has failed and the process is ended, as Lambda does. */
  timeoutMs?: number;
}

/** A function in a process of its own, fed by a Lambda Runtime API of ours. One event at a time, as Lambda has it. */
export interface RunningFunction {
  /** The payload that the handler answered with; throws what it threw. */
  invoke(event: unknown): Promise<string>;
  /** A request by an event of API Gateway. */
  request(request: Request): Promise<Response>;
  freeze(): void;
  thaw(): void;
  /** The processor time that all of its threads have taken, to 10 ms; for Linux. */
  processorMs(): number;
  /** What it wrote: its log. */
  log(): string;
  stop(): Promise<void>;
}

const bootstrap = fileURLToPath(new URL('bootstrap.mjs', import.meta.url));

export async function startFunction({
  folder,
  handler,
  env = {},
  client,
  timeoutMs = 29_000,
}: FunctionOptions): Promise<RunningFunction> {
  const waiting: ServerResponse[] = [];
  const asked: { id: string; event: unknown; done(kind: string, payload: string): void }[] = [];
  const under = new Map<string, (typeof asked)[number]>();
  let ready = () => {};
  const isReady = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const hand = () => {
    for (let next = waiting[0]; next !== undefined && asked.length > 0; next = waiting[0]) {
      const one = asked.shift();
      waiting.shift();
      if (one === undefined) return;
      under.set(one.id, one);
      next.writeHead(200, {
        'lambda-runtime-aws-request-id': one.id,
        'lambda-runtime-deadline-ms': String(Date.now() + timeoutMs),
        'lambda-runtime-invoked-function-arn': 'arn:aws:lambda:eu-central-1:123456789012:function:api',
        'content-type': 'application/json',
      });
      next.end(JSON.stringify(one.event));
    }
  };
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.endsWith('/invocation/next')) {
      waiting.push(response);
      ready();
      return hand();
    }
    const [, id = '', kind = ''] = /\/invocation\/([^/]+)\/(response|error)$/.exec(request.url ?? '') ?? [];
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.writeHead(202).end();
      under.get(id)?.done(kind, Buffer.concat(chunks).toString());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const child = spawn(process.execPath, client === undefined ? [bootstrap] : [client, handler], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{ PATH: '/usr/bin:/bin', TMPDIR: env.TMPDIR ?? folder, LAMBDA_TASK_ROOT: folder, _HANDLER: handler },
      ...{ AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${(server.address() as AddressInfo).port}` },
      ...{
        AWS_LAMBDA_FUNCTION_NAME: 'api',
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '1024',
      },
      ...{ AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/api', AWS_LAMBDA_LOG_STREAM_NAME: 'stream' },
      ...{ AWS_REGION: 'eu-central-1', AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'test' },
      ...(process.env.CRONFLEET_TEST_RING === undefined
        ? {}
        : { CRONFLEET_TEST_RING: process.env.CRONFLEET_TEST_RING }),
      ...env,
    },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const ended = once(child, 'close');
  await Promise.race([
    isReady,
    ended.then(async () => {
      server.close();
      throw new Error(`the function ended: ${said}`);
    }),
  ]);
  let number = 0;

  async function invoke(event: unknown): Promise<string> {
    number += 1;
    const id = `request-${number}`;
    return await new Promise<string>((resolve, reject) => {
      const late = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`Task timed out after ${timeoutMs} ms`));
      }, timeoutMs);
      const gone = () => reject(new Error(`the function ended: ${said}`));
      child.once('close', gone);
      asked.push({
        id,
        event,
        done(kind, payload) {
          clearTimeout(late);
          child.off('close', gone);
          under.delete(id);
          if (kind === 'response') resolve(payload);
          else reject(new Error(payload));
        },
      });
      hand();
    });
  }

  return {
    invoke,
    async request(request) {
      const event: LambdaEvent = await eventOf(request);
      return responseOf(await invoke(event), request.method);
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    processorMs: () => processorMs(child.pid ?? 0),
    log: () => said,
    async stop() {
      await end(child, ended);
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function processorMs(pid: number): number {
  const [, text = ''] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ');
  // In hundredths of a second: its own, and what the kernel did for it.
  const [own = 0, kernels = 0] = text.split(' ').slice(11, 13).map(Number);
  return (own + kernels) * 10;
}

async function end(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.kill('SIGKILL');
  await ended;
}
