// Loaded into an agent before all else (`node --import`). Tells in a file of each thing that the agent does to the outside, and kills it, as a
// kill -9 would, at the one that is asked for. So every step of the real program can be its last, and the program knows nothing of it.
import child_process from 'node:child_process';
import fs from 'node:fs';
import http2 from 'node:http2';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import { resolve } from 'node:path';

/** Handed over as STEP_HOOK, JSON. */
export interface StepHook {
  /** Whose files count. */
  data: string;
  mongoPort: number;
  /** Where each step is written, a line each, as it is reached. */
  trace: string;
  /** What is to be the last; null: none. */
  last: { step: string; nth: number } | null;
}

// biome-ignore lint/suspicious/noExplicitAny: each is a function of Node's, called as it would have been.
type Call = (this: any, ...given: any[]) => any;
type Calls = Record<string, Call>;

if (process.env.STEP_HOOK !== undefined && process.argv.includes('agent'))
  hook(JSON.parse(process.env.STEP_HOOK));

function hook({ data, mongoPort, trace, last }: StepHook): void {
  const root = resolve(data);
  const { writeSync } = fs;
  const tracing = fs.openSync(trace, 'a');
  let reached = 0;
  const die = () => process.kill(process.pid, 'SIGKILL');

  function step(name: string): void {
    writeSync(tracing, `${name}\n`);
    if (name === last?.step && ++reached === last.nth) die();
  }

  /** The same name for the same thing, whatever the run, the file's number or the process. */
  function nameOf(path: unknown): string | null {
    const full = resolve(String(path));
    if (!full.startsWith(`${root}/`)) return null;
    return full
      .slice(root.length + 1)
      .replace(/[^/]*~[^/]*/g, 'RUN')
      .replace(/^gates\/[^.]*/, 'gates/GATE')
      .replace(/\d+/g, 'N');
  }

  const opened = new Map<number, string>();
  const handles = new WeakMap<object, string>();
  const reading = (flags: unknown) => flags === undefined || flags === 'r' || flags === fs.constants.O_RDONLY;

  function around(call: Call, nameFor: (given: unknown[], self: unknown) => string | null): Call {
    return function (this: unknown, ...given) {
      const name = nameFor(given, this);
      if (name === null) return call.apply(this, given);
      step(`before ${name}`);
      const result = call.apply(this, given);
      if (result instanceof Promise)
        return result.then((value) => {
          step(`after ${name}`);
          return value;
        });
      step(`after ${name}`);
      return result;
    };
  }

  const ofPath = (what: string) => (given: unknown[]) => {
    const name = nameOf(given[0]);
    return name === null ? null : `${what} ${name}`;
  };
  const ofFile = (what: string) => (given: unknown[]) => {
    const name = opened.get(Number(given[0]));
    return name === undefined ? null : `${what} ${name}`;
  };

  const sync = fs as unknown as Calls;
  const { openSync, closeSync } = fs;
  for (const what of ['writeFile', 'appendFile', 'rename', 'unlink', 'rm', 'rmdir', 'mkdir', 'truncate'])
    sync[`${what}Sync`] = around(sync[`${what}Sync`] as Call, ofPath(what));
  for (const what of ['write', 'fsync', 'fdatasync', 'ftruncate'])
    sync[`${what}Sync`] = around(sync[`${what}Sync`] as Call, ofFile(what));
  sync.openSync = (...given) => {
    const name = reading(given[1]) ? null : nameOf(given[0]);
    if (name === null) return (openSync as Call).apply(fs, given);
    step(`before open ${name}`);
    const file = (openSync as Call).apply(fs, given) as number;
    opened.set(file, name);
    step(`after open ${name}`);
    return file;
  };
  sync.closeSync = (file) => {
    const name = opened.get(Number(file));
    opened.delete(Number(file));
    if (name !== undefined) step(`before close ${name}`);
    closeSync(Number(file));
    if (name !== undefined) step(`after close ${name}`);
  };

  const promises = fs.promises as unknown as Calls;
  for (const what of ['writeFile', 'appendFile', 'rename', 'unlink', 'rm', 'mkdir', 'truncate'])
    promises[what] = around(promises[what] as Call, ofPath(what));
  const open = fs.promises.open as unknown as (...given: unknown[]) => Promise<fs.promises.FileHandle>;
  let patched = false;
  promises.open = async (...given) => {
    const name = nameOf(given[0]);
    const told = name !== null && !reading(given[1]);
    if (told) step(`before open ${name}`);
    const handle = await open(...given);
    if (!patched) patch(Object.getPrototypeOf(handle) as Calls);
    patched = true;
    // A folder is opened for reading, and synced.
    if (name !== null) handles.set(handle, name);
    if (told) step(`after open ${name}`);
    return handle;
  };

  function patch(handle: Calls): void {
    const of = (what: string) => (_: unknown[], self: unknown) => {
      const name = handles.get(self as object);
      return name === undefined ? null : `${what} ${name}`;
    };
    const write = handle.write as Call;
    for (const what of ['write', 'datasync', 'sync', 'truncate'])
      handle[what] = around(handle[what] as Call, of(what));
    const whole = handle.write as Call;
    handle.write = function (...given) {
      const name = handles.get(this as object);
      const torn = `torn write ${name}`;
      if (name === undefined || last?.step !== torn || ++reached !== last.nth)
        return whole.apply(this, given);
      const [buffer, offset, length, at] = given as [Buffer, number, number, number];
      // Half of it reaches the file.
      return (write.call(this, buffer, offset, Math.ceil(length / 2), at) as Promise<unknown>).then(() => {
        writeSync(tracing, `${torn}\n`);
        die();
      });
    };
  }

  const processes = child_process as unknown as Calls;
  for (const what of ['spawn', 'spawnSync', 'execFileSync'])
    processes[what] = around(
      processes[what] as Call,
      ([program]) => `${what} ${String(program).split('/').at(-1)}`,
    );

  // etcd: what is asked, by the kinds of keys that stand in it.
  const keys = ['cursors', 'running', 'owed', 'orders', 'kills', 'workers'];
  const { connect } = http2;
  (http2 as unknown as Calls).connect = (...given) => {
    const session = (connect as unknown as Call)(...given) as http2.ClientHttp2Session;
    const request = session.request.bind(session);
    session.request = (headers, options) => {
      const stream = request(headers, options);
      const method =
        String((headers as http2.OutgoingHttpHeaders)[':path'])
          .split('/')
          .at(-1) ?? '';
      follow(stream, method);
      return stream;
    };
    return session;
  };
  function follow(stream: http2.ClientHttp2Stream, method: string): void {
    const [write, push] = [stream.write.bind(stream) as Call, stream.push.bind(stream)];
    let name = method;
    (stream as unknown as Calls).write = (...given) => {
      const text = Buffer.from(given[0] as Uint8Array).toString('latin1');
      name = ['etcd', method, ...keys.filter((key) => text.includes(`/cron/${key}/`))].join(' ');
      step(`before send ${name}`);
      const sent = given.pop() as ((error?: Error) => void) | undefined;
      return write(...given, (error?: Error) => {
        step(`after send ${name}`);
        sent?.(error);
      });
    };
    stream.push = (chunk, encoding) => {
      if (chunk !== null) step(`before answer ${name}`);
      return push(chunk, encoding);
    };
  }

  // MongoDB: what is asked is the first name in the message's document, and its value is where.
  const asked = new WeakMap<net.Socket, string>();
  const socket = net.Socket.prototype as unknown as Calls;
  const [write, push] = [socket.write as Call, socket.push as Call];
  socket.write = function (this: net.Socket, ...given) {
    if (this.remotePort !== mongoPort || !Buffer.isBuffer(given[0])) return write.apply(this, given);
    const [command = '', of = ''] = given[0]
      .subarray(26, 140)
      .toString('latin1')
      .split(/\0[\0-\x1f]*/);
    const name = `mongo ${command} ${/^\w*$/.test(of) ? of : ''}`.trim();
    asked.set(this, name);
    step(`before send ${name}`);
    const more = write.apply(this, given);
    step(`after send ${name}`);
    return more;
  };
  socket.push = function (this: net.Socket, ...given) {
    const name = asked.get(this);
    if (name !== undefined && given[0] !== null) step(`before answer ${name}`);
    return push.apply(this, given);
  };

  syncBuiltinESMExports();
}
