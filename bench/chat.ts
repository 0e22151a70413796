/** Messages through the server, durable and over TLS: how many at saturation, and how quick at a steady pace. The clients are another process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeIdentity } from '../src/protocol/certificate.js';
import { seedSessions, spawnServer } from '../test/support/server.js';
import type { Job, Report } from './chatload.js';

const LOAD = fileURLToPath(new URL('./chatload.js', import.meta.url));
const SATURATION = { kind: 'saturate', clients: 100, underWay: 40, seconds: 10 } as const;
const PACE = { kind: 'pace', perSecond: 1_000, seconds: 60 } as const;
/** Clients that are connected at the steady pace. */
const CLIENTS = 2_000;

export async function benchSaturation(): Promise<void> {
  console.log(
    `\nsaturation: ${SATURATION.clients} clients, half of them sending to the other half, ${SATURATION.underWay} unanswered each`,
  );
  const { report, serverCpu } = await withServer(SATURATION.clients, SATURATION);
  const rate = report.acknowledged / report.seconds;
  print('acknowledged as durable', `${rate.toFixed(0)} messages/s`);
  print('delivered', `${(report.delivered / report.seconds).toFixed(0)} messages/s`);
  print('processor of the server', `${((serverCpu / report.acknowledged) * 1e6).toFixed(0)} s per million messages`);
  print(
    'processor of the clients',
    `${((report.cpuSeconds / report.acknowledged) * 1e6).toFixed(0)} s per million messages`,
  );
  if (report.errors > 0) print('refused', String(report.errors));
}

export async function benchPace(): Promise<void> {
  const seconds = Number(process.env['BENCH_SECONDS'] ?? PACE.seconds);
  console.log(`\npace: ${PACE.perSecond} messages/s for ${seconds} s between ${CLIENTS} clients`);
  const { report, serverCpu } = await withServer(CLIENTS, { ...PACE, seconds });
  print('acknowledged', `${report.acknowledged} of ${PACE.perSecond * seconds} in ${report.seconds.toFixed(1)} s`);
  print('sent to acknowledged', percentiles(report.replyMs));
  print('sent to received', percentiles(report.relayMs));
  print('processor of the server', `${((serverCpu / report.seconds) * 100).toFixed(0)} % of one`);
  if (report.errors > 0) print('refused', String(report.errors));
}

async function withServer(clients: number, work: Job['work']): Promise<{ report: Report; serverCpu: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  try {
    const identity = await makeIdentity('bench');
    const names = Array.from({ length: clients }, (_, i) => `user${i}`);
    const tokens = await seedSessions(join(folder, 'data'), names, identity);
    const server = await spawnServer({ folder, users: {}, args: ['0', '--log-level', 'warn'] });
    const pid = server.child.pid ?? 0;
    try {
      const { privateKeyPem, certificatePem } = identity;
      const { host, port } = server;
      let before = 0;
      const job = { target: { host, port, privateKeyPem, certificatePem }, tokens, work };
      const report = await runLoad(job, () => (before = cpuSeconds(pid)));
      return { report, serverCpu: cpuSeconds(pid) - before };
    } finally {
      await server.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of user and system together; hundredths are what the kernel counts in. */
function cpuSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return Number.NaN;
  }
}

async function runLoad(job: Job, onReady: () => void): Promise<Report> {
  const child = spawn(process.execPath, [LOAD], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (output === '') onReady();
    output += text;
  });
  child.stdin.end(JSON.stringify(job));
  await once(child, 'close');
  if (child.exitCode !== 0) throw new Error(`the clients ended with ${child.exitCode}`);
  return JSON.parse(output.slice(output.indexOf('\n'))) as Report;
}

function percentiles(sorted: readonly number[]): string {
  const at = (part: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN).toFixed(2);
  return `median ${at(0.5)} ms   p99 ${at(0.99)} ms   worst ${at(1)} ms`;
}

function print(name: string, value: string): void {
  console.log(`  ${name.padEnd(52)} ${value}`);
}
