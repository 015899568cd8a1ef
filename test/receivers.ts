import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { within } from './until.ts';

/** What somebody's server got, and who waits for it. */
class Inbox<T> {
  readonly all: T[] = [];
  #waiting: (() => void)[] = [];

  put(one: T): void {
    this.all.push(one);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves with the first that fits, now or when it comes. */
  first(fits: (one: T) => boolean): Promise<T> {
    return within(`what fits ${fits}`, this.#first(fits), () => this.all);
  }

  async #first(fits: (one: T) => boolean): Promise<T> {
    for (;;) {
      const found = this.all.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

export interface Hook {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Somebody's web server on loopback: it takes what is posted, or answers what `status` says. */
export async function webhookReceiver() {
  const inbox = new Inbox<Hook>();
  let status = 204;
  const server = createHttpServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      response.writeHead(status).end();
      inbox.put({ path: request.url ?? '', headers: request.headers, body });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    inbox,
    answers(next: number): void {
      status = next;
    },
    async close(): Promise<void> {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface Mail {
  from: string;
  to: string[];
  /** Head and body as they came. */
  text: string;
}

/** Somebody's mail server on loopback, as far as a sender needs one. Recipients that begin with `nobody` it refuses. */
export async function mailSink() {
  const inbox = new Inbox<Mail>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // Who hangs up in the middle is of no concern here.
    socket.on('error', () => {});
    void converse(socket, (mail) => inbox.put(mail));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    inbox,
    async close(): Promise<void> {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function converse(socket: Socket, got: (mail: Mail) => void): Promise<void> {
  const say = (line: string) => socket.write(`${line}\r\n`);
  let mail: Mail = { from: '', to: [], text: '' };
  let inText = false;
  say('220 sink');
  for await (const line of createInterface({ input: socket })) {
    if (inText) {
      if (line !== '.') mail.text += `${line.startsWith('..') ? line.slice(1) : line}\n`;
      else {
        inText = false;
        got(mail);
        mail = { from: '', to: [], text: '' };
        say('250 taken');
      }
      continue;
    }
    const address = /<(.*)>/.exec(line)?.[1] ?? '';
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'EHLO' || verb === 'HELO') say('250 sink');
    else if (verb === 'MAIL') {
      mail.from = address;
      say('250 ok');
    } else if (verb === 'RCPT') {
      const refused = address.startsWith('nobody');
      if (!refused) mail.to.push(address);
      say(refused ? '550 there is nobody of that name' : '250 ok');
    } else if (verb === 'DATA') {
      inText = true;
      say('354 go on');
    } else if (verb === 'QUIT') {
      say('221 bye');
      socket.end();
    } else say('250 ok');
  }
}
