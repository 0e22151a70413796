/** The clients of `bench/server.ts`, a process of their own: a job on stdin, a report on stdout. */
import { execFileSync } from 'node:child_process';
import { connect } from 'node:tls';
import { text } from 'node:stream/consumers';
import { serverCommands } from '../src/protocol/commands/server.js';
import { Connection } from '../src/protocol/connection.js';
import { makeHello } from '../src/protocol/hello.js';
import { RawClient } from './rawclient.js';
import type { RawTarget } from './rawclient.js';

export interface Job extends RawTarget {
  readonly serverPid: number;
  readonly tokens: readonly string[];
}

export interface Report {
  readonly rssBeforeKib: number;
  readonly rssAfterKib: number;
  readonly connectSeconds: number;
  readonly pingMs: number[];
  readonly relayMs: number[];
  readonly replyMs: number[];
  readonly burst: number;
  readonly burstSeconds: number;
  readonly fanOutMs: number[];
}

/** Clients that connect at the same time. */
const AT_ONCE = 32;
/** Clients before the first measurement of memory: what the first ones load is not theirs alone. */
const WARM_UP = 20;
const PINGS = 300;
const MESSAGES = 500;
const BURST = 5_000;
const UNDER_WAY = 100;
const BROADCASTS = 5;
/** How long messages may take to come before something is wrong. */
const PATIENCE_MS = 30_000;
const ACKNOWLEDGE_EVERY = 20;

/** Counts what comes, and acknowledges it. */
class Recipient {
  readonly #client: RawClient;
  #received = 0;
  #position = 0;
  #acknowledged = 0;
  #waiters: { count: number; resolve: () => void }[] = [];

  constructor(client: RawClient) {
    this.#client = client;
    client.onMessage = (position) => this.#receive(position);
  }

  get received(): number {
    return this.#received;
  }

  /** Resolves when so many messages have come in all. */
  async until(count: number): Promise<void> {
    if (this.#received >= count) return;
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${this.#received} of ${count} messages came`)), PATIENCE_MS);
      this.#waiters.push({
        count,
        resolve: () => {
          clearTimeout(late);
          resolve();
        },
      });
    });
  }

  acknowledge(): void {
    this.#acknowledged = this.#received;
    this.#client.acknowledge(this.#position);
  }

  close(): void {
    this.#client.close();
  }

  #receive(position: number): void {
    this.#received += 1;
    this.#position = position;
    this.#waiters = this.#waiters.filter(({ count, resolve }) => {
      if (count > this.#received) return true;
      resolve();
      return false;
    });
    if (this.#received - this.#acknowledged >= ACKNOWLEDGE_EVERY) this.acknowledge();
  }
}

/** The one client that asks and pings, which takes a whole connection. */
async function connectSender(job: Job, token: string): Promise<Connection> {
  const { host, port, privateKeyPem: key, certificatePem: cert } = job;
  const socket = connect({ host, port, key, cert, minVersion: 'TLSv1.3', rejectUnauthorized: false });
  socket.setNoDelay(true);
  const connection = new Connection(socket, { hello: makeHello('client'), end: 'dialer' });
  await connection.call(serverCommands.resume, { token });
  return connection;
}

function rssKib(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }));
}

/** Once it has not moved by more than 1% for a second. */
async function settledRssKib(pid: number): Promise<number> {
  let last = rssKib(pid);
  for (let calm = 0; calm < 4;) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const now = rssKib(pid);
    calm = Math.abs(now - last) < last * 0.01 ? calm + 1 : 0;
    last = now;
  }
  return last;
}

async function connectAll(job: Job, tokens: readonly string[]): Promise<Recipient[]> {
  const clients: Recipient[] = [];
  const rest = tokens.entries();
  const work = async (): Promise<void> => {
    for (const [at, token] of rest) clients[at] = new Recipient(await RawClient.open(job, token));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return clients;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

async function run(job: Job): Promise<Report> {
  const [first = '', ...tokens] = job.tokens;
  const sender = await connectSender(job, first);
  const warm = await connectAll(job, tokens.slice(0, WARM_UP));
  const rssBeforeKib = await settledRssKib(job.serverPid);
  const before = performance.now();
  const clients = [...warm, ...(await connectAll(job, tokens.slice(WARM_UP)))];
  const connectSeconds = (performance.now() - before) / 1000;
  const rssAfterKib = await settledRssKib(job.serverPid);

  const [recipient] = clients;
  if (recipient === undefined) throw new Error('there are two clients at least');
  const pingMs: number[] = [];
  for (let i = 0; i < PINGS; i++) pingMs.push(await timed(() => sender.alive(5_000)));

  const send = (text: string): Promise<unknown> => sender.call(serverCommands.message, { user: 'user1', text });
  const relayMs: number[] = [];
  const replyMs: number[] = [];
  for (let i = 0; i < MESSAGES; i++) {
    const start = performance.now();
    const replied = send(`message ${i}`).then(() => replyMs.push(performance.now() - start));
    await recipient.until(i + 1);
    relayMs.push(performance.now() - start);
    await replied;
  }

  let next = 0;
  const burstMs = await timed(async () => {
    const worker = async (): Promise<void> => {
      while (next < BURST) await send(`burst ${next++}`);
    };
    await Promise.all(Array.from({ length: UNDER_WAY }, worker));
    await recipient.until(MESSAGES + BURST);
  });

  const fanOutMs: number[] = [];
  for (let i = 0; i < BROADCASTS; i++) {
    const wanted = clients.map((each) => each.received + 1);
    fanOutMs.push(
      await timed(async () => {
        const replied = sender.call(serverCommands.broadcast, { text: `to all ${i}` });
        await Promise.all(clients.map((each, at) => each.until(wanted[at] ?? 0)));
        await replied;
      }),
    );
    for (const each of clients) each.acknowledge();
  }
  sender.destroy();
  for (const each of clients) each.close();
  return {
    rssBeforeKib,
    rssAfterKib,
    connectSeconds,
    pingMs,
    relayMs,
    replyMs,
    burst: BURST,
    burstSeconds: burstMs / 1000,
    fanOutMs,
  };
}

const job = JSON.parse(await text(process.stdin)) as Job;
process.stdout.write(JSON.stringify(await run(job)));
