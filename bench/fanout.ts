/** One message to a thousand: broadcast and group of ours, durable for each, against a channel of ngircd, which keeps nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeIdentity } from '../src/protocol/certificate.js';
import type { Identity } from '../src/protocol/certificate.js';
import { seedSessions, spawnServer } from '../test/support/server.js';
import type { Job, Report } from './fanoutload.js';
import { cpuSeconds, printLine, runLoad } from './load.js';
import { ROUNDS, median } from './measure.js';
import { startNgircd } from './ngircd.js';
import type { Ngircd } from './ngircd.js';

const RECIPIENTS = 1_000;
const WARM_UP = 200;
const MESSAGES = 300;
const AHEAD = 10;
/** Seconds that are waited for what the server puts off. */
const MAX_PUT_OFF_S = 60;
const PLAIN_SERVER = fileURLToPath(new URL('./plainserver.js', import.meta.url));

interface Figures {
  /** Deliveries a second. */
  readonly rate: number;
  /** Of the server, per million deliveries. */
  readonly cpuSeconds: number;
  /** Share of one processor that the clients took: near 1 they are what is measured. */
  readonly clientsBusy: number;
}

export async function benchFanOut(): Promise<void> {
  const rounds = Number(process.env['BENCH_ROUNDS'] ?? ROUNDS);
  console.log(
    `\nfan-out: ${MESSAGES} messages to ${RECIPIENTS} recipients, ${AHEAD} ahead of the slowest, after ${WARM_UP} not counted; median of ${rounds} rounds`,
  );
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  const ngircd = await startNgircd(folder);
  let isFirst = true;
  try {
    const contenders: Record<string, () => Promise<Figures>> = {
      'broadcast, TLS, durable': () => parley('broadcast', true, isFirst ? printPutOff : undefined),
      'group, TLS, durable': () => parley('send_group', true),
      'broadcast, plain (bench only), durable': () => parley('broadcast', false),
      'group, plain (bench only), durable': () => parley('send_group', false),
    };
    if (ngircd === undefined) console.log('  ngircd is not installed (Debian: apt-get install ngircd)');
    else {
      console.log(`  beside ${ngircd.version}`);
      contenders['ngircd, TLS'] = () => irc(ngircd, true);
      contenders['ngircd, plain'] = () => irc(ngircd, false);
    }
    const all: Record<string, Figures[]> = {};
    for (let round = 0; round < rounds; round++) {
      for (const [name, run] of Object.entries(contenders)) (all[name] ??= []).push(await run());
      isFirst = false;
    }
    print(all);
  } finally {
    await ngircd?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function print(all: Readonly<Record<string, readonly Figures[]>>): void {
  for (const [name, figures] of Object.entries(all)) {
    const of = (field: keyof Figures, from = figures): number => median(from.map((each) => each[field]));
    const other = name.includes('TLS') ? 'ngircd, TLS' : 'ngircd, plain';
    const beside = all[other];
    const ratio =
      beside === undefined || name === other ? '' : `   ${(of('rate') / of('rate', beside)).toFixed(2)} of ${other}`;
    const cpu = `${of('cpuSeconds').toFixed(1)} CPU s per million`;
    const busy = `clients ${(of('clientsBusy') * 100).toFixed(0)} % busy`;
    printLine(name, `${of('rate').toFixed(0).padStart(7)} deliveries/s   ${cpu}   ${busy}${ratio}`);
  }
}

async function parley(send: 'broadcast' | 'send_group', tls: boolean, after?: After): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  try {
    const identity = await makeIdentity('bench');
    const names = Array.from({ length: RECIPIENTS + 1 }, (_, i) => `user${i}`);
    const tokens = await seedSessions(join(folder, 'data'), names, identity);
    const server = await (tls ? realServer(folder) : plainServer(folder, identity));
    try {
      const { host, port, pid } = server;
      const { privateKeyPem, certificatePem } = identity;
      const target = { host, port, privateKeyPem, certificatePem, plain: !tls };
      const figures = await measure({ kind: 'parley', target, tokens, send }, pid);
      await after?.(pid);
      return figures;
    } finally {
      await server.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type After = (serverPid: number) => Promise<void>;

/** What the server does when there is time: rows of inboxes, and the index of words. */
async function printPutOff(pid: number): Promise<void> {
  const before = cpuSeconds(pid);
  let now = before;
  for (let waited = 0; waited < MAX_PUT_OFF_S; waited += 1) {
    const last = now;
    await setTimeout(1_000);
    now = cpuSeconds(pid);
    if (waited > 1 && now - last < 0.02) break;
  }
  const perMillion = ((now - before) / ((WARM_UP + MESSAGES) * RECIPIENTS)) * 1e6;
  printLine('  after it, while nothing else is to do', `${perMillion.toFixed(1)} CPU s per million (inboxes, words)`);
}

interface Running {
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  close(): Promise<void>;
}

async function realServer(folder: string): Promise<Running> {
  const server = await spawnServer({ folder, users: {}, args: ['0', '--log-level', 'warn'] });
  const { host, port, child } = server;
  return { host, port, pid: child.pid ?? 0, close: () => server.close() };
}

async function plainServer(folder: string, { publicKey }: Identity): Promise<Running> {
  const args = [PLAIN_SERVER, join(folder, 'data'), publicKey];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const line = await Promise.race([
    once(child.stdout, 'data').then(([bytes]) => String(bytes)),
    ended.then(() => Promise.reject(new Error('the plain server ended'))),
  ]);
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  return { host: '127.0.0.1', port: Number(line), pid: child.pid ?? 0, close };
}

function irc({ pid, port, tlsPort }: Ngircd, tls: boolean): Promise<Figures> {
  const target = { port: tls ? tlsPort : port, tls };
  return measure({ kind: 'irc', target, clients: RECIPIENTS + 1 }, pid);
}

async function measure(who: Job['who'], pid: number): Promise<Figures> {
  const job: Job = { who, warmUp: WARM_UP, messages: MESSAGES, ahead: AHEAD };
  const { report, serverCpu } = await runLoad<Report>('fanoutload', job, pid);
  const { deliveries, seconds, cpuSeconds } = report;
  return {
    rate: deliveries / seconds,
    cpuSeconds: (serverCpu / deliveries) * 1e6,
    clientsBusy: cpuSeconds / seconds,
  };
}
