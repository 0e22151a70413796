/** Interleaved measuring: every contender once a round, medians at the end, so that a machine that drifts slows all alike. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomFillSync } from 'node:crypto';
import { open } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';

/** Rounds of a comparison: the median of five forgets two bad ones. `BENCH_ROUNDS` shortens a look. */
export const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);

export interface Sample {
  readonly seconds: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/** Runs the contenders in turn, `rounds` times after one round that does not count; seconds of each. */
export async function interleave(
  contenders: Readonly<Record<string, () => Promise<unknown>>>,
  rounds = ROUNDS,
): Promise<Record<string, number[]>> {
  const seconds: Record<string, number[]> = {};
  for (let round = 0; round <= rounds; round++) {
    for (const [name, run] of Object.entries(contenders)) {
      const before = performance.now();
      await run();
      if (round > 0) (seconds[name] ??= []).push((performance.now() - before) / 1000);
    }
  }
  return seconds;
}

/** `name  median (min to max)` for each contender. */
export function printSeconds(seconds: Readonly<Record<string, readonly number[]>>): void {
  for (const [name, values] of Object.entries(seconds)) {
    const spread = `${Math.min(...values).toFixed(3)} to ${Math.max(...values).toFixed(3)}`;
    console.log(`  ${name.padEnd(44)} ${median(values).toFixed(3)} s   (${spread})`);
  }
}

/** Runs a command to its end; rejects when it fails. */
export async function command(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  if (child.exitCode !== 0) throw new Error(`${program} ${args.join(' ')} ended with exit code ${child.exitCode}`);
  return output;
}

export function printMachine(): void {
  const [cpu] = cpus();
  console.log(
    `${cpus().length} x ${cpu?.model.trim() ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}`,
  );
}

/** A file of random bytes, on disk when this resolves. */
export async function writeRandom(path: string, mebibytes: number): Promise<void> {
  const file = await open(path, 'w');
  const block = Buffer.alloc(1024 * 1024);
  for (let i = 0; i < mebibytes; i++) await file.write(randomFillSync(block));
  await file.sync();
  await file.close();
}
