/** How fast a file is registered: the pass over its bytes against `sha256sum` of the same file. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildManifest } from '../src/chunks/manifest.js';
import { median, writeRandom } from './measure.js';

export interface RegisterResult {
  /** Medians of the rounds, in seconds. */
  readonly registerSeconds: number;
  readonly sha256sumSeconds: number;
  /** How many times as fast registering is. */
  readonly ratio: number;
}

/** Measures both in turn, `rounds` times each, on a file of `mebibytes` MiB that is in the page cache. */
export async function benchRegister({ mebibytes = 1024, rounds = 5 } = {}): Promise<RegisterResult> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  try {
    const path = join(folder, 'file');
    await writeRandom(path, mebibytes);
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      ours.push(await secondsOf(() => buildManifest(path, 5)));
      theirs.push(await secondsOf(() => sha256sum(path)));
    }
    const [registerSeconds, sha256sumSeconds] = [median(ours), median(theirs)];
    return { registerSeconds, sha256sumSeconds, ratio: sha256sumSeconds / registerSeconds };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Measures and prints one line; the goal is a ratio of 6 or more. */
export async function printRegister(): Promise<void> {
  const { registerSeconds, sha256sumSeconds, ratio } = await benchRegister();
  const times = `${registerSeconds.toFixed(3)} s against ${sha256sumSeconds.toFixed(3)} s of sha256sum`;
  console.log(`register 1 GiB in page cache: ${ratio.toFixed(1)} x as fast (goal 6): ${times}`);
}

function sha256sum(path: string): Promise<void> {
  const { status, error } = spawnSync('sha256sum', [path], { stdio: 'ignore' });
  if (status !== 0) throw new Error('sha256sum failed', { cause: error });
  return Promise.resolve();
}

async function secondsOf(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await act();
  return (performance.now() - start) / 1000;
}
