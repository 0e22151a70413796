/** What `saturate` of `bench/chatload.ts` does, with an IRC server: a job on stdin, a report on stdout. Nothing is kept, so nothing is acknowledged. */
import { text } from 'node:stream/consumers';
import { RawIrc, nickOf } from './rawirc.js';
import type { IrcTarget } from './rawirc.js';

export interface Job {
  readonly target: IrcTarget;
  /** Half of them send to the other half. */
  readonly clients: number;
  /** Messages of each sender that have not arrived. */
  readonly underWay: number;
  readonly seconds: number;
}

export interface Report {
  readonly delivered: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

const SETTLE_MS = 3_000;
const TEXT = 'x'.repeat(100);

async function run({ target, clients: count, underWay, seconds }: Job): Promise<Report> {
  const clients: RawIrc[] = [];
  for (let i = 0; i < count; i++) clients.push(await RawIrc.open(target, nickOf(i)));
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  process.stdout.write('ready\n');
  let delivered = 0;
  const half = count / 2;
  const cpu = process.cpuUsage();
  const before = performance.now();
  clients.slice(0, half).forEach((sender, at) => {
    const line = `PRIVMSG ${nickOf(half + at)} :${TEXT}\r\n`;
    const recipient = clients[half + at];
    if (recipient === undefined) throw new Error('every sender has a recipient');
    recipient.onMessages = (messages) => {
      delivered += messages;
      sender.write(line.repeat(messages));
    };
    recipient.count();
    sender.write(line.repeat(underWay));
  });
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const took = (performance.now() - before) / 1000;
  const used = process.cpuUsage(cpu);
  for (const client of clients) client.close();
  return { delivered, seconds: took, cpuSeconds: (used.user + used.system) / 1e6 };
}

process.stdout.write(JSON.stringify(await run(JSON.parse(await text(process.stdin)) as Job)));
process.exit(0);
