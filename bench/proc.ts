/** What other processes used, as Linux tells, and commands that are measured. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import type { Cost } from './rows.js';

/** Clock ticks a second of /proc: 100 on every Linux that Node runs on. */
const TICKS = 100;

/** CPU seconds that these processes used so far. */
export function cpuSecondsOf(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS;
}

/** The most memory that a process had since `forgetPeak`, or since it began. */
export function peakMebibytes(pid: number): number {
  const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Runs `act`; the CPU seconds are those of the processes `pids` meanwhile. */
export async function costOf(pids: readonly number[], act: () => Promise<unknown>): Promise<Cost> {
  const cpu = cpuSecondsOf(pids);
  const begin = performance.now();
  await act();
  return { seconds: (performance.now() - begin) / 1000, cpuSeconds: cpuSecondsOf(pids) - cpu };
}

/** Runs a command to its end, its output into `stdout` when given: its own wall time and CPU. Rejects when it fails. */
export async function costOfCommand(program: string, args: readonly string[], stdout?: number): Promise<Cost> {
  const begin = performance.now();
  // The shell tells what its children used.
  const script = '"$@" 3>&- || exit 1; times >&3';
  const child = spawn('sh', ['-c', script, 'sh', program, ...args], {
    stdio: ['ignore', stdout ?? 'ignore', 'inherit', 'pipe'],
  });
  let output = '';
  (child.stdio[3] as Readable).setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  const seconds = (performance.now() - begin) / 1000;
  if (child.exitCode !== 0) throw new Error(`${program} ended with exit code ${child.exitCode}`);
  const used = [...(output.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  return { seconds, cpuSeconds: used.reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0) };
}

/** The first line of what `program args` says of its version; undefined when it is not installed. */
export function versionOf(program: string, args: readonly string[] = ['--version']): string | undefined {
  const { error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return error === undefined ? `${stdout}${stderr}`.trim().split('\n')[0] : undefined;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
