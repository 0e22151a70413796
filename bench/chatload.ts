/** The clients of `bench/chat.ts`, a process of their own: a job on stdin, a report on stdout. */
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { RawClient } from './rawclient.js';
import type { RawTarget } from './rawclient.js';

export interface Job {
  readonly target: RawTarget;
  /** Of user0, user1, …, all bound to the target's key. */
  readonly tokens: readonly string[];
  readonly work:
    /** Half of the first so many clients send to the other half, each with so many messages unanswered; the rest is only there. */
    | { readonly kind: 'saturate'; readonly clients: number; readonly underWay: number; readonly seconds: number }
    /** Random pairs, so many messages a second in all. */
    | { readonly kind: 'pace'; readonly perSecond: number; readonly seconds: number };
}

export interface Report {
  readonly acknowledged: number;
  readonly delivered: number;
  readonly errors: number;
  readonly seconds: number;
  /** Milliseconds from sent to acknowledged and from sent to received, sorted; only of `pace`. */
  readonly replyMs: number[];
  readonly relayMs: number[];
  readonly cpuSeconds: number;
}

/** Clients that connect at the same time. */
const AT_ONCE = 32;
/** How long everything that connecting has set off gets to come to rest. */
const SETTLE_MS = 3_000;
/** Messages that a client takes before it acknowledges them. */
const ACKNOWLEDGE_EVERY = 40;
const TEXT = 'x'.repeat(100);

async function connectAll({ target, tokens }: Job): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  const rest = tokens.entries();
  const work = async (): Promise<void> => {
    for (const [at, token] of rest) clients[at] = await RawClient.open(target, token);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  process.stdout.write('ready\n');
  return clients;
}

/** Acknowledges what comes, and counts it. */
function receive(client: RawClient, onMessage: (frame: Buffer) => void): void {
  let unacknowledged = 0;
  let late: NodeJS.Timeout | undefined;
  client.onMessage = (position, frame) => {
    onMessage(frame);
    unacknowledged += 1;
    const acknowledge = (): void => {
      unacknowledged = 0;
      clearTimeout(late);
      late = undefined;
      client.acknowledge(position);
    };
    if (unacknowledged >= ACKNOWLEDGE_EVERY) acknowledge();
    else {
      clearTimeout(late);
      late = setTimeout(acknowledge, 20);
    }
  };
}

class Sender {
  readonly #client: RawClient;
  #number = 0;

  constructor(client: RawClient) {
    this.#client = client;
  }

  send(to: string, message = TEXT): number {
    this.#number += 1;
    const id = randomBytes(16).toString('hex');
    return this.#client.call(
      `{"command":"message","params":{"id":"${id}","number":${this.#number},"user":"${to}","text":"${message}"}}`,
    );
  }
}

async function saturate(job: Job, count: number, underWay: number, seconds: number): Promise<Report> {
  const all = await connectAll(job);
  const clients = all.slice(0, count);
  const half = count / 2;
  let acknowledged = 0;
  let delivered = 0;
  let isOver = false;
  for (const client of clients.slice(half)) receive(client, () => (delivered += 1));
  const before = performance.now();
  const cpu = process.cpuUsage();
  clients.slice(0, half).forEach((client, at) => {
    const sender = new Sender(client);
    client.onReply = () => {
      acknowledged += 1;
      if (!isOver) sender.send(`user${half + at}`);
    };
    for (let i = 0; i < underWay; i++) sender.send(`user${half + at}`);
  });
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const report = { acknowledged, delivered, seconds: (performance.now() - before) / 1000 };
  isOver = true;
  const used = process.cpuUsage(cpu);
  const errors = clients.reduce((sum, client) => sum + client.errors, 0);
  for (const client of all) client.close();
  return { ...report, errors, replyMs: [], relayMs: [], cpuSeconds: (used.user + used.system) / 1e6 };
}

async function pace(job: Job, perSecond: number, seconds: number): Promise<Report> {
  const clients = await connectAll(job);
  const replyMs: number[] = [];
  const relayMs: number[] = [];
  const sentAt = new Map<string, number>();
  const senders = clients.map((client) => new Sender(client));
  let delivered = 0;
  const underWay = clients.map(() => new Map<number, number>());
  clients.forEach((client, at) => {
    receive(client, (frame) => {
      delivered += 1;
      const tag = /"text":"(\d+) /.exec(frame.toString('latin1'))?.[1] ?? '';
      const sent = sentAt.get(tag);
      if (sent !== undefined) relayMs.push(performance.now() - sent);
      sentAt.delete(tag);
    });
    client.onReply = (id) => {
      const sent = underWay[at]?.get(id);
      if (sent !== undefined) replyMs.push(performance.now() - sent);
      underWay[at]?.delete(id);
    };
  });
  const total = perSecond * seconds;
  const before = performance.now();
  const cpu = process.cpuUsage();
  for (let sent = 0; sent < total;) {
    const due = Math.min(total, Math.floor(((performance.now() - before) / 1000) * perSecond));
    for (; sent < due; sent++) {
      const from = Math.floor(Math.random() * clients.length);
      const to = (from + 1 + Math.floor(Math.random() * (clients.length - 1))) % clients.length;
      const tag = String(sent);
      const now = performance.now();
      const id = senders[from]?.send(`user${to}`, `${tag} ${TEXT}`.slice(0, TEXT.length));
      sentAt.set(tag, now);
      if (id !== undefined) underWay[from]?.set(id, now);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  while (replyMs.length < total && performance.now() - before < (seconds + 10) * 1000) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const took = (performance.now() - before) / 1000;
  const used = process.cpuUsage(cpu);
  const errors = clients.reduce((sum, client) => sum + client.errors, 0);
  for (const client of clients) client.close();
  const sorted = (values: number[]): number[] => values.sort((a, b) => a - b);
  const cpuSeconds = (used.user + used.system) / 1e6;
  return {
    acknowledged: replyMs.length,
    delivered,
    errors,
    seconds: took,
    replyMs: sorted(replyMs),
    relayMs: sorted(relayMs),
    cpuSeconds,
  };
}

const job = JSON.parse(await text(process.stdin)) as Job;
const { work } = job;
const report =
  work.kind === 'saturate'
    ? await saturate(job, work.clients, work.underWay, work.seconds)
    : await pace(job, work.perSecond, work.seconds);
process.stdout.write(JSON.stringify(report));
