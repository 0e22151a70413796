/** One message to a thousand: broadcast and group of ours, durable for each, against a channel of ngircd, which keeps nothing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeIdentity } from '../src/protocol/certificate.js';
import { seedSessions, spawnServer } from '../test/support/server.js';
import type { Job, Report } from './fanoutload.js';
import { printLine, runLoad } from './load.js';
import { ROUNDS, median } from './measure.js';
import { startNgircd } from './ngircd.js';
import type { Ngircd } from './ngircd.js';

const RECIPIENTS = 1_000;
const MESSAGES = 300;
const AHEAD = 10;

interface Figures {
  /** Deliveries a second. */
  readonly rate: number;
  /** Of the server, per million deliveries. */
  readonly cpuSeconds: number;
}

export async function benchFanOut(): Promise<void> {
  const rounds = Number(process.env['BENCH_ROUNDS'] ?? ROUNDS);
  console.log(
    `\nfan-out: ${MESSAGES} messages to ${RECIPIENTS} recipients, ${AHEAD} ahead of the slowest; median of ${rounds} rounds`,
  );
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  const ngircd = await startNgircd(folder);
  try {
    const contenders: Record<string, () => Promise<Figures>> = {
      'broadcast, TLS, durable': () => parley('broadcast'),
      'group, TLS, durable': () => parley('send_group'),
    };
    if (ngircd === undefined) console.log('  ngircd is not installed (Debian: apt-get install ngircd)');
    else {
      contenders[`${ngircd.version.split('-')[0] ?? 'ngircd'}, TLS`] = () => irc(ngircd, true);
      contenders['ngircd, plain'] = () => irc(ngircd, false);
    }
    const all: Record<string, Figures[]> = {};
    for (let round = 0; round < rounds; round++) {
      for (const [name, run] of Object.entries(contenders)) (all[name] ??= []).push(await run());
    }
    print(all);
  } finally {
    await ngircd?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function print(all: Readonly<Record<string, readonly Figures[]>>): void {
  const names = Object.keys(all);
  const rateOf = (name: string): number => median((all[name] ?? []).map(({ rate }) => rate));
  const tls = names.find((name) => name.startsWith('ngircd') && name.endsWith('TLS'));
  for (const name of names) {
    const cpu = median((all[name] ?? []).map(({ cpuSeconds }) => cpuSeconds));
    const ratio =
      tls === undefined || name === tls ? '' : `   ${(rateOf(name) / rateOf(tls)).toFixed(2)} of ngircd over TLS`;
    printLine(
      name,
      `${rateOf(name).toFixed(0).padStart(7)} deliveries/s   ${cpu.toFixed(1)} CPU s per million${ratio}`,
    );
  }
}

async function parley(send: 'broadcast' | 'send_group'): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  try {
    const identity = await makeIdentity('bench');
    const names = Array.from({ length: RECIPIENTS + 1 }, (_, i) => `user${i}`);
    const tokens = await seedSessions(join(folder, 'data'), names, identity);
    const server = await spawnServer({ folder, users: {}, args: ['0', '--log-level', 'warn'] });
    try {
      const { host, port } = server;
      const { privateKeyPem, certificatePem } = identity;
      const target = { host, port, privateKeyPem, certificatePem };
      return await measure({ kind: 'parley', target, tokens, send }, server.child.pid ?? 0);
    } finally {
      await server.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function irc({ pid, port, tlsPort }: Ngircd, tls: boolean): Promise<Figures> {
  return measure({ kind: 'irc', port: tls ? tlsPort : port, tls, clients: RECIPIENTS + 1 }, pid);
}

async function measure(who: Job['who'], pid: number): Promise<Figures> {
  const job: Job = { who, messages: MESSAGES, ahead: AHEAD };
  const { report, serverCpu } = await runLoad<Report>('fanoutload', job, pid);
  return { rate: report.deliveries / report.seconds, cpuSeconds: (serverCpu / report.deliveries) * 1e6 };
}
