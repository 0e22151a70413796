/** The clients of `bench/fanout.ts`, a process of their own: a job on stdin, a report on stdout. One sends, all others count. */
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { RawClient } from './rawclient.js';
import type { RawTarget } from './rawclient.js';
import { RawIrc, nickOf } from './rawirc.js';
import type { IrcTarget } from './rawirc.js';

export interface Job {
  readonly who:
    | {
        readonly kind: 'parley';
        readonly target: RawTarget;
        readonly tokens: readonly string[];
        readonly send: 'broadcast' | 'send_group';
      }
    | { readonly kind: 'irc'; readonly target: IrcTarget; readonly clients: number };
  /** Messages before those that are counted: what compiles itself while it runs has done so. */
  readonly warmUp: number;
  readonly messages: number;
  /** Messages that the slowest recipient may be behind. */
  readonly ahead: number;
}

export interface Report {
  readonly deliveries: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

interface Party {
  /** Everybody is there; what comes from now on is counted. */
  readonly ready: () => void;
  /** Sends one message to all others. */
  readonly send: () => void;
  readonly close: () => void;
}

const AT_ONCE = 32;
const SETTLE_MS = 3_000;
const TEXT = 'x'.repeat(100);
const ACKNOWLEDGE_EVERY = 40;

async function inParallel(count: number, work: (at: number) => Promise<void>): Promise<void> {
  const rest = Array.from({ length: count }, (_, at) => at).values();
  const worker = async (): Promise<void> => {
    for (const at of rest) await work(at);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function parley(
  { target, tokens, send }: Extract<Job['who'], { kind: 'parley' }>,
  onDelivery: (recipient: number) => void,
): Promise<Party> {
  const clients: RawClient[] = [];
  await inParallel(tokens.length, async (at) => {
    const client = await RawClient.open(target, tokens[at] ?? '');
    clients[at] = client;
    let unacknowledged = 0;
    let last = 0;
    client.onMessage = (position) => {
      last = position;
      onDelivery(at);
      unacknowledged += 1;
      if (unacknowledged >= ACKNOWLEDGE_EVERY) acknowledge();
    };
    const acknowledge = (): void => {
      unacknowledged = 0;
      client.acknowledge(last);
    };
  });
  const sender = clients[0];
  if (sender === undefined) throw new Error('nobody is there to send');
  if (send === 'send_group') {
    await sender.ask('{"command":"create_group","params":{"group":"bench","open":true}}');
    for (const client of clients) await client.ask('{"command":"join_group","params":{"group":"bench"}}');
  }
  let number = 0;
  return {
    ready: () => undefined,
    send: () => {
      const id = randomBytes(16).toString('hex');
      sender.call(`{"command":"${send}","params":{"id":"${id}","number":${++number},"text":"${TEXT}"}}`);
    },
    close: () => {
      for (const client of clients) client.close();
    },
  };
}

async function irc(
  { target, clients: count }: Extract<Job['who'], { kind: 'irc' }>,
  onDelivery: (recipient: number) => void,
): Promise<Party> {
  const clients: RawIrc[] = [];
  await inParallel(count, async (at) => {
    const client = await RawIrc.open(target, nickOf(at), '#bench');
    clients[at] = client;
    client.onMessages = (messages) => {
      for (let i = 0; i < messages; i++) onDelivery(at);
    };
  });
  return {
    ready: () => {
      for (const client of clients) client.count();
    },
    send: () => clients[0]?.write(`PRIVMSG #bench :${TEXT}\r\n`),
    close: () => {
      for (const client of clients) client.close();
    },
  };
}

/** Counts what all but the sender receive. */
class Receipts {
  readonly #recipients: number;
  readonly #received: Uint32Array;
  /** Recipients that have so many messages. */
  readonly #having: number[] = [];
  /** What the slowest has. */
  slowest = 0;
  #wake: () => void = () => undefined;

  constructor(clients: number) {
    this.#recipients = clients - 1;
    this.#received = new Uint32Array(clients);
  }

  add(at: number): void {
    const have = (this.#received[at] ?? 0) + 1;
    this.#received[at] = have;
    this.#having[have] = (this.#having[have] ?? 0) + 1;
    if (this.#having[this.slowest + 1] !== this.#recipients) return;
    this.slowest += 1;
    this.#wake();
  }

  /** Resolves when the slowest has one more. */
  more(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

async function run({ who, warmUp, messages, ahead }: Job): Promise<Report> {
  const count = who.kind === 'parley' ? who.tokens.length : who.clients;
  const receipts = new Receipts(count);
  const onDelivery = (at: number): void => receipts.add(at);
  const party = await (who.kind === 'parley' ? parley(who, onDelivery) : irc(who, onDelivery));
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  party.ready();
  let sent = 0;
  const sendUpTo = async (last: number): Promise<void> => {
    while (receipts.slowest < last) {
      for (; sent < last && sent - receipts.slowest < ahead; sent++) party.send();
      await receipts.more();
    }
  };
  await sendUpTo(warmUp);
  process.stdout.write('ready\n');
  const cpu = process.cpuUsage();
  const before = performance.now();
  await sendUpTo(warmUp + messages);
  const seconds = (performance.now() - before) / 1000;
  const used = process.cpuUsage(cpu);
  party.close();
  return { deliveries: messages * (count - 1), seconds, cpuSeconds: (used.user + used.system) / 1e6 };
}

// Something is wrong when it takes so long.
setTimeout(() => process.exit(1), 120_000).unref();
const report = await run(JSON.parse(await text(process.stdin)) as Job);
process.stdout.write(JSON.stringify(report));
process.exit(0);
