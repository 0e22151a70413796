/** The clients of `bench/fanout.ts`, a process of their own: a job on stdin, a report on stdout. One sends, all others count. */
import { randomBytes } from 'node:crypto';
import { connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { text } from 'node:stream/consumers';
import { RawClient } from './rawclient.js';
import type { RawTarget } from './rawclient.js';

export interface Job {
  readonly who:
    | {
        readonly kind: 'parley';
        readonly target: RawTarget;
        readonly tokens: readonly string[];
        readonly send: 'broadcast' | 'send_group';
      }
    | { readonly kind: 'irc'; readonly port: number; readonly tls: boolean; readonly clients: number };
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
    let late: NodeJS.Timeout | undefined;
    client.onMessage = (position) => {
      const acknowledge = (): void => {
        unacknowledged = 0;
        clearTimeout(late);
        late = undefined;
        client.call(`{"command":"acknowledge","params":{"position":${position}}}`);
      };
      onDelivery(at);
      unacknowledged += 1;
      if (unacknowledged >= ACKNOWLEDGE_EVERY) acknowledge();
      else {
        clearTimeout(late);
        late = setTimeout(acknowledge, 50);
      }
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
  { port, tls, clients: count }: Extract<Job['who'], { kind: 'irc' }>,
  onDelivery: (recipient: number) => void,
): Promise<Party> {
  const sockets: Socket[] = [];
  await inParallel(count, async (at) => {
    const socket = tls
      ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
      : connectPlain(port, '127.0.0.1');
    sockets[at] = socket;
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      socket.once('close', () => reject(new Error('the IRC server closed the connection')));
      let rest = '';
      socket.on('data', (bytes: Buffer) => {
        const lines = (rest + bytes.toString('latin1')).split('\r\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (line.includes(' PRIVMSG #bench ')) onDelivery(at);
          else if (line.startsWith('PING')) socket.write(`PONG ${line.slice(5)}\r\n`);
          else if (line.includes(' 001 ')) socket.write('JOIN #bench\r\n');
          else if (line.includes(' 366 ')) resolve();
        }
      });
      socket.write(`NICK u${at}\r\nUSER u${at} 0 * :u\r\n`);
    });
  });
  return {
    send: () => void sockets[0]?.write(`PRIVMSG #bench :${TEXT}\r\n`),
    close: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function run({ who, messages, ahead }: Job): Promise<Report> {
  const count = who.kind === 'parley' ? who.tokens.length : who.clients;
  const received = new Uint32Array(count);
  /** Recipients that have so many messages. */
  const complete = new Uint32Array(messages + 1);
  let slowest = 0;
  let wake: () => void = () => undefined;
  const onDelivery = (at: number): void => {
    const have = (received[at] ?? 0) + 1;
    received[at] = have;
    complete[have] = (complete[have] ?? 0) + 1;
    while (slowest < messages && complete[slowest + 1] === count - 1) slowest += 1;
    wake();
  };
  const party = await (who.kind === 'parley' ? parley(who, onDelivery) : irc(who, onDelivery));
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  process.stdout.write('ready\n');
  const cpu = process.cpuUsage();
  const before = performance.now();
  for (let sent = 0; slowest < messages;) {
    while (sent < messages && sent - slowest < ahead) {
      party.send();
      sent += 1;
    }
    await new Promise<void>((resolve) => (wake = resolve));
  }
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
