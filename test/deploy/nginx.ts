import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { findNginx } from '#infra/deploy/find-nginx.ts';
import { freePorts } from '#infra/free-ports.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { until } from '#test/until.ts';

export interface Answer {
  status: number;
  headers: Record<string, string>;
  text: string;
}

export interface Nginx {
  /** Of its HTTPS. */
  port: number;
  httpPort: number;
  /** Its certificate, which is its own authority. */
  certificate: string;
  /** Over HTTP/1.1 and TLS, the certificate looked at. Rejects where the connection breaks. */
  ask(method: string, path: string, headers?: Record<string, string>, body?: string): Promise<Answer>;
  /** Which masters each request was sent to, one a line, in the order in which they were answered. */
  asked(): string[];
  stop(): Promise<void>;
}

/** The configuration that ships, with ports, certificate, site and masters of a test's own; each change must find what it changes. */
export function configuration(changes: readonly (readonly [from: string, to: string])[]): string {
  let text = readFileSync(join(projectFolder, 'infra/nginx/cronfleet.conf'), 'utf8');
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`cronfleet.conf does not say ${JSON.stringify(from)}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** A real nginx in `folder`, which may not be there yet; `changes` are beyond those that every test needs. */
export async function startNginx(
  folder: string,
  masters: readonly string[],
  changes: readonly (readonly [from: string, to: string])[] = [],
): Promise<Nginx> {
  const found = await findNginx();
  if ('missing' in found) throw new Error(found.missing);
  const [port = 0, httpPort = 0] = await freePorts(2);
  mkdirSync(join(folder, 'temp'), { recursive: true });
  const [crt, key] = [join(folder, 'crt.pem'), join(folder, 'key.pem')];
  const made = spawnSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', crt],
    ],
    { encoding: 'utf8' },
  );
  if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`);
  const certificate = readFileSync(crt, 'utf8');
  const first = masters.map((address) => `server ${address} max_fails=1 fail_timeout=1s;`).join('\n');
  const last = masters.map((address) => `server ${address} max_fails=0 backup;`).join('\n');
  const conf = configuration([
    ['listen 80;', `listen 127.0.0.1:${httpPort};`],
    ['listen [::]:80;', ''],
    ['listen 443 ssl http2;', `listen 127.0.0.1:${port} ssl http2;`],
    ['listen [::]:443 ssl http2;', ''],
    ['/etc/nginx/tls/cronfleet.crt', crt],
    ['/etc/nginx/tls/cronfleet.key', key],
    ['/opt/cronfleet-server/current/dist/site', join(projectFolder, 'dist/site')],
    ['server 10.0.0.11:8787 max_fails=1 fail_timeout=10s;', first],
    ['server 10.0.0.12:8787 max_fails=1 fail_timeout=10s;', ''],
    ['server 10.0.0.11:8787 max_fails=0 backup;', last],
    ['server 10.0.0.12:8787 max_fails=0 backup;', ''],
    ...changes,
  ]);
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/temp/${name};`,
  );
  const log = join(folder, 'access.log');
  writeFileSync(
    join(folder, 'nginx.conf'),
    `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off; worker_processes 2; pid ${folder}/nginx.pid; error_log ${folder}/error.log warn;
events { worker_connections 512; }
http {
${temps.join('\n')}
types { text/html html; text/javascript js; text/css css; image/svg+xml svg; }
log_format masters '$upstream_addr'; access_log ${log} masters;
${conf}
}
`,
  );
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')];
  const env = { ...process.env, ...found.env };
  const tested = spawnSync(found.path, ['-t', ...args], { env, encoding: 'utf8' });
  if (tested.status !== 0) throw new Error(`nginx -t: ${tested.stderr}`);
  const child = spawn(found.path, args, { env, stdio: 'ignore' });
  const agent = new Agent({ ca: certificate, keepAlive: true, maxSockets: 32 });
  const stop = async () => {
    agent.destroy();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  };
  const up = async () => {
    if (child.exitCode !== null)
      throw new Error(`nginx ended: ${readFileSync(join(folder, 'error.log'), 'utf8')}`);
    return await answers(port);
  };
  try {
    await until('nginx to answer', up);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ...{ port, httpPort, certificate, stop },
    asked: () => readFileSync(log, 'utf8').split('\n').filter(Boolean),
    ask: (method, path, headers = {}, body) =>
      new Promise((resolve, reject) => {
        const to = { host: '127.0.0.1', port, agent, method, path, headers };
        const asking = request(to, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (piece) => {
            text += piece;
          });
          response.on('error', reject);
          response.on('end', () => {
            const { statusCode = 0, headers: got } = response;
            resolve({ status: statusCode, headers: got as Record<string, string>, text });
          });
        });
        asking.on('error', reject);
        asking.end(body);
      }),
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
