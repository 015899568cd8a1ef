import { createServer, type Socket } from 'node:net';
import { BSON, type Document } from 'mongodb';

const replyOf = { query: 1, message: 2013 } as const;
const queryCode = 2004;

/**
 * A server of the test's own that speaks just enough of MongoDB's protocol to be a bad one: `answer` says what it answers to a
 * command, null that it never does.
 */
export async function fakeServer(
  answer: (command: Document) => Document | null,
): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (data: Buffer) => {
      rest = Buffer.concat([rest, data]);
      while (rest.length >= 4 && rest.length >= rest.readInt32LE(0)) {
        const message = rest.subarray(0, rest.readInt32LE(0));
        rest = rest.subarray(message.length);
        const command = commandOf(message);
        const said = answer(command.document);
        if (said !== null) socket.write(reply(command, said));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `mongodb://127.0.0.1:${address.port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** What a server says of itself that is the only member of its set; `more` otherwise, or null: not at all. */
export function hello(url: string, more: Document = {}): Document {
  const me = url.replace('mongodb://', '');
  const said = {
    ...{ ok: 1, isWritablePrimary: true, ismaster: true, setName: 's', setVersion: 1, hosts: [me], me },
    ...{ minWireVersion: 0, maxWireVersion: 21, logicalSessionTimeoutMinutes: 30 },
    ...{ maxBsonObjectSize: 16_777_216, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 },
    localTime: new Date(),
    ...more,
  };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== null));
}

interface Command {
  id: number;
  code: number;
  document: Document;
}

/** OP_QUERY, in which a driver introduces itself, or OP_MSG. */
function commandOf(message: Buffer): Command {
  const [id, code] = [message.readInt32LE(4), message.readInt32LE(12)];
  // Flags, then the collection's name and two numbers; or flags, then the kind of the first section.
  const at = code === queryCode ? message.indexOf(0, 20) + 9 : 21;
  return { id, code, document: BSON.deserialize(message.subarray(at, at + message.readInt32LE(at))) };
}

function reply({ id, code }: Command, document: Document): Buffer {
  const body = Buffer.from(BSON.serialize(document));
  // OP_REPLY: flags, cursor id, from, one document. OP_MSG: flags, a section of kind 0.
  const head = code === queryCode ? Buffer.alloc(20) : Buffer.alloc(5);
  if (code === queryCode) head.writeInt32LE(1, 16);
  const header = Buffer.alloc(16);
  header.writeInt32LE(16 + head.length + body.length, 0);
  header.writeInt32LE(id, 8);
  header.writeInt32LE(code === queryCode ? replyOf.query : replyOf.message, 12);
  return Buffer.concat([header, head, body]);
}
