/** Messages through the server, durable and over TLS: how many at saturation, and how quick at a steady pace. The clients are another process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeIdentity } from '../src/protocol/certificate.js';
import { seedSessions, spawnServer } from '../test/support/server.js';
import type { Job, Report } from './chatload.js';
import { printLine, runLoad } from './load.js';
import type { Loaded } from './load.js';
import { ROUNDS, median } from './measure.js';
import { startNgircd } from './ngircd.js';
import type { Ngircd } from './ngircd.js';
import type { Job as RelayJob, Report as RelayReport } from './relayload.js';

const SATURATION = { kind: 'saturate', clients: 100, underWay: 40, seconds: 10 } as const;
const FEW_BUSY = { kind: 'saturate', clients: 10, underWay: 40, seconds: 8 } as const;
const MANY_ONLINE = 5_000;
const PACE = { kind: 'pace', perSecond: 1_000, seconds: 60 } as const;
/** Clients that are connected at the steady pace. */
const CLIENTS = 2_000;

interface Figures {
  readonly rate: number;
  /** Of the server, per million messages. */
  readonly cpuSeconds: number;
  /** Share of one processor that the clients took: near 1 they are what is measured. */
  readonly clientsBusy: number;
}

/** Ours keeps every message before it is acknowledged; ngircd only passes them on. */
export async function benchSaturation(): Promise<void> {
  const rounds = Number(process.env['BENCH_ROUNDS'] ?? ROUNDS);
  console.log(
    `\nsaturation: ${SATURATION.clients} clients, half of them sending to the other half, ${SATURATION.underWay} unanswered each; median of ${rounds} rounds`,
  );
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  const ngircd = await startNgircd(folder);
  try {
    const contenders: Record<string, () => Promise<Figures>> = { 'acknowledged as durable, TLS': saturateOurs };
    if (ngircd === undefined) console.log('  ngircd is not installed (Debian: apt-get install ngircd)');
    else {
      console.log(`  beside ${ngircd.version}`);
      contenders['ngircd, relayed and not kept, TLS'] = () => saturateIrc(ngircd, true);
      contenders['ngircd, relayed and not kept, plain'] = () => saturateIrc(ngircd, false);
    }
    const all: Record<string, Figures[]> = {};
    for (let round = 0; round < rounds; round++) {
      for (const [name, run] of Object.entries(contenders)) (all[name] ??= []).push(await run());
    }
    for (const [name, figures] of Object.entries(all)) printFigures(name, figures);
  } finally {
    await ngircd?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function printFigures(name: string, figures: readonly Figures[]): void {
  const of = (field: keyof Figures): number => median(figures.map((each) => each[field]));
  const cpu = `${of('cpuSeconds').toFixed(1)} CPU s per million`;
  const busy = `clients ${(of('clientsBusy') * 100).toFixed(0)} % busy`;
  printLine(name, `${of('rate').toFixed(0).padStart(7)} messages/s   ${cpu}   ${busy}`);
}

async function saturateOurs(): Promise<Figures> {
  const { report, serverCpu } = await withServer(SATURATION.clients, SATURATION);
  const { acknowledged, seconds, cpuSeconds, errors } = report;
  if (errors > 0) printLine('refused', String(errors));
  return {
    rate: acknowledged / seconds,
    cpuSeconds: (serverCpu / acknowledged) * 1e6,
    clientsBusy: cpuSeconds / seconds,
  };
}

async function saturateIrc({ pid, port, tlsPort }: Ngircd, tls: boolean): Promise<Figures> {
  const { clients, underWay, seconds } = SATURATION;
  const job: RelayJob = { target: { port: tls ? tlsPort : port, tls }, clients, underWay, seconds };
  const { report, serverCpu } = await runLoad<RelayReport>('relayload', job, pid);
  return {
    rate: report.delivered / report.seconds,
    cpuSeconds: (serverCpu / report.delivered) * 1e6,
    clientsBusy: report.cpuSeconds / report.seconds,
  };
}

/** What a message costs with few and with many online: the same, within what the machine's own noise is. */
export async function benchOnline(): Promise<void> {
  const rounds = Number(process.env['BENCH_ROUNDS'] ?? ROUNDS);
  console.log(
    `\nonline: the same saturation with few and with ${MANY_ONLINE.toLocaleString('en')} connected; median of ${rounds} rounds`,
  );
  const costs: Record<number, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const online of [FEW_BUSY.clients, MANY_ONLINE]) {
      const { report, serverCpu } = await withServer(online, FEW_BUSY);
      (costs[online] ??= []).push((serverCpu / report.acknowledged) * 1e6);
    }
  }
  const few = median(costs[FEW_BUSY.clients] ?? []);
  const many = median(costs[MANY_ONLINE] ?? []);
  printLine(`with ${FEW_BUSY.clients} online`, `${few.toFixed(1)} CPU s per million messages`);
  printLine(
    `with ${MANY_ONLINE} online`,
    `${many.toFixed(1)} CPU s per million messages   x${(many / few).toFixed(2)}`,
  );
}

export async function benchPace(): Promise<void> {
  const seconds = Number(process.env['BENCH_SECONDS'] ?? PACE.seconds);
  console.log(`\npace: ${PACE.perSecond} messages/s for ${seconds} s between ${CLIENTS} clients`);
  const { report, serverCpu } = await withServer(CLIENTS, { ...PACE, seconds });
  printLine('acknowledged', `${report.acknowledged} of ${PACE.perSecond * seconds} in ${report.seconds.toFixed(1)} s`);
  printLine('sent to acknowledged', percentiles(report.replyMs));
  printLine('sent to received', percentiles(report.relayMs));
  printLine('processor of the server', `${((serverCpu / report.seconds) * 100).toFixed(0)} % of one`);
  if (report.errors > 0) printLine('refused', String(report.errors));
}

async function withServer(clients: number, work: Job['work']): Promise<Loaded<Report>> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  try {
    const identity = await makeIdentity('bench');
    const names = Array.from({ length: clients }, (_, i) => `user${i}`);
    const tokens = await seedSessions(join(folder, 'data'), names, identity);
    const server = await spawnServer({ folder, users: {}, args: ['0', '--log-level', 'warn'] });
    try {
      const { privateKeyPem, certificatePem } = identity;
      const { host, port } = server;
      const job: Job = { target: { host, port, privateKeyPem, certificatePem }, tokens, work };
      return await runLoad<Report>('chatload', job, server.child.pid ?? 0);
    } finally {
      await server.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function percentiles(sorted: readonly number[]): string {
  const at = (part: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN).toFixed(2);
  return `median ${at(0.5)} ms   p99 ${at(0.99)} ms   worst ${at(1)} ms`;
}
