import {
  type CallOptions,
  Channel,
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
} from '@grpc/grpc-js';
import { Host } from 'etcd3/lib/connection-pool.js';
import { Refusal } from '#core/model/refusal.ts';
import type { Clock } from '#core/ports/clock.ts';
import { KvError } from '#core/ports/kv.ts';
import { ofCertificates } from './certificates.ts';
import { cut, explain, type Fault, isServiceError, judge } from './fault.ts';
import type { EtcdOptions } from './options.ts';
import { tooOld } from './version.ts';

type Service = 'KV' | 'Lease' | 'Watch' | 'Auth' | 'Maintenance' | 'Cluster';
type Stream = ClientDuplexStream<object, unknown>;

interface Member {
  name: string;
  host: Host;
  /** What is open to it for long. */
  streams: Set<Stream>;
}

interface OpenStream {
  stream: Stream;
  /** Says that it failed, and is told what that means. */
  failed(error: unknown): Fault;
  close(): void;
}

interface MemberAnswer<Answer> {
  name: string;
  answer: Answer | null;
  error: string;
}

type Unary = (
  request: object,
  metadata: Metadata,
  options: CallOptions,
  done: (error: Error | null, answer: unknown) => void,
) => void;
type Duplex = (metadata: Metadata, options: CallOptions) => Stream;

const channel: ChannelOptions = {
  // A silent connection is found dead after 13 s at most. etcd refuses pings more often than every 5 s.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3_000,
  // A member that comes back is found soon: there are few clients, and a refused connection costs nothing.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  // Lists come in pages far below; this is for what one request reads along its path, whose answer must not be lost.
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.max_send_message_length': -1,
  // Else a second client of this process would share the first one's failed connection, without its reason.
  'grpc.use_local_subchannel_pool': 1,
  // A proxy for the internet is no way to one's own store.
  'grpc.enable_http_proxy': 0,
};

/** How long one member may take to answer one call. Shorter than a lease's third, longer than an election. */
const attemptMs = 2_000;

interface Call {
  service: Service;
  method: string;
  request: object;
  /** Whether it may be sent again when it is not known what became of it. */
  repeatable: boolean;
  /** For each attempt; `attemptMs` unless said. */
  timeoutMs?: number;
}

/**
 * The members of one etcd: which is asked, what its errors mean, and the sign-in. Calls go to one member until it fails,
 * then to the next. Every call has a deadline, and none is repeated that may have been applied, unless it says so.
 */
export class Members {
  readonly #options: EtcdOptions;
  readonly #clock: Clock;
  readonly #members: readonly Member[];
  #at: number;
  #token: Promise<string | null> | null = null;
  #closed = false;

  /** `chance` spreads the clients of a fleet over the members. */
  constructor(options: EtcdOptions, clock: Clock, chance: () => number) {
    this.#options = options;
    this.#clock = clock;
    const { tls } = options;
    const security = tls ? credentials.createSsl(tls.ca, tls.key, tls.cert) : credentials.createInsecure();
    this.#members = options.endpoints.map((name) => {
      // One connection for all services of a member: one reason when it fails, one ping.
      const channelOverride = new Channel(name, security, channel);
      return { name, host: new Host(name, security, { channelOverride }), streams: new Set() };
    });
    this.#at = Math.floor(chance() * this.#members.length);
  }

  get names(): string {
    return this.#options.endpoints.join(', ');
  }

  close(): void {
    this.#closed = true;
    for (const { host } of this.#members) host.close();
  }

  /**
   * Refusal where waiting would not mend it: a port that is not etcd's, an etcd that is too old, certificates that one side does not
   * trust, a password that is wrong. Members that are merely away are nobody's mistake, and the first that answers is enough.
   */
  async greet(): Promise<void> {
    const asked = await this.#askEach<{ version: string }>('Maintenance', 'status', {});
    const one = asked.map(async (answer) => {
      const { name, answer: status } = await answer;
      if (status === null) throw new Error('away');
      return { name, version: status.version };
    });
    const greeted = await Promise.any(one).catch(() => null);
    const old = greeted && tooOld(greeted.name, greeted.version);
    if (old !== null) throw new Refusal('store_unreachable', `kv: ${old}`);
    if (greeted !== null) return;
    const ranOut = ofCertificates(this.#options, this.#clock.now()).filter(({ level }) => level === 'error');
    const lasting = (await Promise.all(asked)).flatMap(({ name, error }) => {
      const why = explain(error);
      return why?.lasting ? [`etcd at ${name} ${why.what}`] : [];
    });
    if (lasting.length === 0) return;
    const all = [...lasting, ...ranOut.map(({ message }) => message)];
    throw new Refusal('store_unreachable', `kv: ${all.join('; ')}`);
  }

  async call<Answer>({ service, method, request, repeatable, timeoutMs }: Call): Promise<Answer> {
    return this.#tryMembers(repeatable, (member, metadata) =>
      unary<Answer>(member, service, method, request, metadata, this.#deadline(timeoutMs)),
    );
  }

  /** The first answer of a stream to one request. */
  async ask<Answer>(service: Service, method: string, request: object): Promise<Answer> {
    return this.#tryMembers(true, (member, metadata) => {
      const client = member.host.getServiceClient(service);
      const stream = duplex(client, method)(metadata, this.#deadline());
      return new Promise<Answer>((resolve, reject) => {
        stream.on('data', (answer) => {
          resolve(answer as Answer);
          stream.cancel();
        });
        // After an answer this is our own cancelling, and settles nothing any more.
        stream.on('error', reject);
        stream.on('end', () => reject(cut('the stream ended without an answer')));
        stream.write(request);
      });
    });
  }

  /** A stream to the present member, which also ends when a call finds that member away. Throws as a call does. */
  async open(service: Service, method: string): Promise<OpenStream> {
    const { member, token, metadata } = await this.#ready();
    const stream = duplex(member.host.getServiceClient(service), method)(metadata, {});
    member.streams.add(stream);
    return {
      stream,
      failed: (error) => {
        const fault = this.#faultOf(error, member);
        this.#after(fault, member, token);
        return fault;
      },
      close() {
        member.streams.delete(stream);
        stream.cancel();
      },
    };
  }

  /** One call to each member, for what concerns each: its answer or its error. Refusal `store_credential_refused`. */
  async each<Answer>(service: Service, method: string, request: object): Promise<MemberAnswer<Answer>[]> {
    return Promise.all(await this.#askEach<Answer>(service, method, request));
  }

  async #askEach<Answer>(
    service: Service,
    method: string,
    request: object,
  ): Promise<Promise<MemberAnswer<Answer>>[]> {
    this.#checkOpen();
    const token = await this.#signedIn().catch((error) => {
      // Nobody is there to sign in at: each member is asked all the same, and says why itself.
      if (!(error instanceof KvError)) throw error;
      return null;
    });
    // A member tells of itself with a leader or without.
    const metadata = metadataOf(token, false);
    return this.#members.map(async (member) => {
      try {
        const options = this.#deadline();
        const answer = await unary<Answer>(member, service, method, request, metadata, options);
        return { name: member.name, answer, error: '' };
      } catch (error) {
        if (!isServiceError(error)) throw error;
        return { name: member.name, answer: null, error: error.details };
      }
    });
  }

  async #tryMembers<Answer>(
    repeatable: boolean,
    send: (member: Member, metadata: Metadata) => Promise<Answer>,
  ): Promise<Answer> {
    let signIns = 0;
    for (let failures = 0; ; ) {
      const { member, token, metadata } = await this.#ready();
      try {
        return await send(member, metadata);
      } catch (error) {
        const fault = this.#faultOf(error, member);
        this.#after(fault, member, token);
        if (fault.kind === 'final') throw fault.error;
        if (fault.kind === 'token') {
          if (this.#options.user && signIns++ < 2) continue;
          throw new KvError('forbidden', fault.message);
        }
        failures++;
        if (failures < this.#members.length && (fault.sure || repeatable)) continue;
        throw new KvError(fault.sure || repeatable ? 'unavailable' : 'unknown', fault.message, {
          cause: error,
        });
      }
    }
  }

  async #ready(): Promise<{ member: Member; token: Promise<string | null> | null; metadata: Metadata }> {
    this.#checkOpen();
    const name = await this.#signedIn();
    const token = this.#token;
    this.#checkOpen();
    const member = this.#members[this.#at];
    if (!member) throw new RangeError('an etcd has at least one endpoint');
    return { member, token, metadata: metadataOf(name, true) };
  }

  #checkOpen(): void {
    if (this.#closed) throw new KvError('unavailable', 'the store is closed');
  }

  /** What a failure changes for the calls after it: who is asked next, and whether to sign in again. */
  #after(fault: Fault, member: Member, token: Promise<string | null> | null): void {
    if (fault.kind === 'token' && this.#token === token) this.#token = null;
    if (fault.kind !== 'away') return;
    if (this.#members[this.#at] === member) this.#at = (this.#at + 1) % this.#members.length;
    // A member that does not answer a call will not tell its followers anything either, and they would notice much later.
    for (const stream of [...member.streams]) {
      member.streams.delete(stream);
      stream.destroy(cut('a call to this member failed'));
    }
  }

  #faultOf(error: unknown, member: Member): Fault {
    if (isServiceError(error)) return judge(error, member.name);
    if (this.#closed) return { kind: 'final', error: new KvError('unavailable', 'the store is closed') };
    throw error;
  }

  #signedIn(): Promise<string | null> {
    const { user } = this.#options;
    if (!user) return Promise.resolve(null);
    if (!this.#token) {
      const token = this.#signIn(user);
      this.#token = token;
      token.catch(() => {
        if (this.#token === token) this.#token = null;
      });
    }
    return this.#token;
  }

  /** The members share their tokens, so one sign-in is for all. Null where etcd asks nobody who he is. */
  async #signIn({ name, password }: NonNullable<EtcdOptions['user']>): Promise<string | null> {
    const request = { name, password: password() };
    let away = '';
    for (let failures = 0; failures < this.#members.length; failures++) {
      const member = this.#members[this.#at];
      if (!member) break;
      try {
        const metadata = metadataOf(null, true);
        const options = this.#deadline();
        const answer = await unary<{ token: string }>(
          member,
          'Auth',
          'authenticate',
          request,
          metadata,
          options,
        );
        return answer.token;
      } catch (error) {
        if (!isServiceError(error)) throw error;
        if (/authentication is not enabled/.test(error.details)) return null;
        if (/authentication failed/.test(error.details))
          throw new Refusal(
            'store_credential_refused',
            `kv: etcd at ${member.name} does not know user ${JSON.stringify(name)} with this password; expected a user made by infra/etcd and its password`,
          );
        const fault = judge(error, member.name);
        if (fault.kind === 'final') throw fault.error;
        away = fault.message;
        this.#after({ kind: 'away', sure: true, message: away }, member, null);
      }
    }
    throw new KvError('unavailable', away);
  }

  /** etcd hears of it too, and drops what nobody waits for any more. */
  #deadline(ms = attemptMs): CallOptions {
    return { deadline: this.#clock.now() + ms };
  }
}

function metadataOf(token: string | null, asksLeader: boolean): Metadata {
  const metadata = new Metadata();
  if (token !== null) metadata.set('token', token);
  // A member that is cut off from the others says so at once instead of keeping silent.
  if (asksLeader) metadata.set('hasleader', 'true');
  return metadata;
}

function unary<Answer>(
  { host }: Member,
  service: Service,
  method: string,
  request: object,
  metadata: Metadata,
  options: CallOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const client = host.getServiceClient(service);
    const send = methodOf(client, method) as Unary;
    send.call(client, request, metadata, options, (error, answer) =>
      error ? reject(error) : resolve(answer as Answer),
    );
  });
}

function duplex(client: Client, method: string): Duplex {
  return (methodOf(client, method) as Duplex).bind(client);
}

/** grpc-js makes the methods of a client from the .proto at run time, where no type can see them. */
function methodOf(client: Client, method: string): unknown {
  return (client as unknown as Record<string, unknown>)[method];
}
