/** The server under many clients: memory of an idle one, and how long a durable message takes. The clients are another process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeIdentity } from '../src/protocol/certificate.js';
import { seedSessions, spawnServer } from '../test/support/server.js';
import { median } from './measure.js';
import type { Job, Report } from './serverload.js';

const LOAD = fileURLToPath(new URL('./serverload.js', import.meta.url));
const CLIENTS = 5_000;
/** Syncs of a file next to the database, for comparison. */
const SYNCS = 200;

export async function benchServer(): Promise<void> {
  console.log(`\nserver: ${CLIENTS.toLocaleString('en')} idle clients, and messages between two of them`);
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  try {
    const identity = await makeIdentity('bench');
    const names = Array.from({ length: CLIENTS }, (_, i) => `user${i}`);
    const tokens = await seedSessions(join(folder, 'data'), names, identity);
    const server = await spawnServer({ folder, users: {}, args: ['0', '--log-level', 'warn'] });
    try {
      const job: Job = {
        host: server.host,
        port: server.port,
        serverPid: server.child.pid ?? 0,
        privateKeyPem: identity.privateKeyPem,
        certificatePem: identity.certificatePem,
        tokens,
      };
      print(await runLoad(job), syncSeconds(folder));
    } finally {
      await server.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runLoad(job: Job): Promise<Report> {
  const child = spawn(process.execPath, [LOAD], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stdin.end(JSON.stringify(job));
  await once(child, 'close');
  if (child.exitCode !== 0) throw new Error(`the clients ended with ${child.exitCode}`);
  return JSON.parse(output) as Report;
}

/** What one synced write costs here, without any server. */
function syncSeconds(folder: string): number[] {
  const file = openSync(join(folder, 'sync'), 'w');
  const seconds: number[] = [];
  for (let i = 0; i < SYNCS; i++) {
    const before = performance.now();
    writeSync(file, Buffer.alloc(4096, i));
    fdatasyncSync(file);
    seconds.push((performance.now() - before) / 1000);
  }
  closeSync(file);
  return seconds;
}

function print(report: Report, syncs: readonly number[]): void {
  const { rssBeforeKib, rssAfterKib, connectSeconds, pingMs, relayMs, replyMs, burstSeconds, burst, fanOutMs } = report;
  const perClient = (rssAfterKib - rssBeforeKib) / CLIENTS;
  const line = (name: string, value: string): void => console.log(`  ${name.padEnd(52)} ${value}`);
  line(
    'memory per idle client (TLS included)',
    `${perClient.toFixed(1)} KiB   (${(perClient / 64).toFixed(2)} of 64 KiB)`,
  );
  line('server with them', `${(rssAfterKib / 1024).toFixed(0)} MiB`);
  line('connecting and resuming them', `${(CLIENTS / connectSeconds).toFixed(0)} clients/s`);
  line('a ping there and back', `${median(pingMs).toFixed(2)} ms   p99 ${p99(pingMs)} ms`);
  line(
    'one synced write of 4 KiB',
    `${(median(syncs) * 1000).toFixed(2)} ms   p99 ${p99(syncs.map((s) => s * 1000))} ms`,
  );
  line('a message, sent to received', `${median(relayMs).toFixed(2)} ms   p99 ${p99(relayMs)} ms`);
  line('a message, sent to acknowledged as durable', `${median(replyMs).toFixed(2)} ms   p99 ${p99(replyMs)} ms`);
  const ideal = median(pingMs) + median(syncs) * 1000;
  line('  as against a ping and a synced write', `x${(median(relayMs) / ideal).toFixed(2)}`);
  line('messages of one sender, 100 under way', `${(burst / burstSeconds).toFixed(0)} /s`);
  line(`a broadcast to ${CLIENTS - 1}, sent to received by all`, `${median(fanOutMs).toFixed(0)} ms`);
}

function p99(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor(sorted.length * 0.99)] ?? NaN).toFixed(2);
}
