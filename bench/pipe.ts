/** How fast a file is downloaded from one holder, encrypted and verified, against a bare Node TLS pipe of the same file. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROUNDS, median, writeRandom } from './measure.js';
import type { Cost, Fetched, Offer, Order, WireManifest } from './pipe-end.js';

/** Medians of the rounds; CPU seconds are those of both ends together. */
export interface PipeResult {
  readonly folder: string;
  readonly downloadSeconds: number;
  readonly finishedSeconds: number;
  readonly pipeSeconds: number;
  /** The pipe's time divided by the download's until the last block: 1 is as fast as the pipe. */
  readonly ratio: number;
  /** The same until the file has its name. */
  readonly finishedRatio: number;
  readonly downloadCpuSeconds: number;
  readonly pipeCpuSeconds: number;
  /** The largest of all rounds. */
  readonly fetcherPeakMebibytes: number;
  readonly holderPeakMebibytes: number;
}

interface End {
  readonly child: ChildProcess;
  readonly publicKey: string;
}

async function startEnd(): Promise<End> {
  const child = fork(fileURLToPath(new URL('pipe-end.js', import.meta.url)));
  const [hello] = (await once(child, 'message')) as [{ publicKey: string }];
  return { child, publicKey: hello.publicKey };
}

async function tell<T>({ child }: End, order: Order): Promise<T> {
  const answer = once(child, 'message') as Promise<[T]>;
  const died = once(child, 'exit').then(() => {
    throw new Error(`an end died at ${order.do}`);
  });
  child.send(order);
  return (await Promise.race([answer, died]))[0];
}

async function stop({ child }: End): Promise<void> {
  const exit = once(child, 'exit');
  child.disconnect();
  await exit;
}

interface Round extends Fetched {
  readonly holder: Cost;
}

async function downloadOnce(path: string, folder: string): Promise<Round> {
  const [holder, fetcher] = await Promise.all([startEnd(), startEnd()]);
  const order: Order = { do: 'hold', path, chunks: 5, peerKey: fetcher.publicKey };
  const { offer, manifest } = await tell<{ offer: Offer; manifest: WireManifest }>(holder, order);
  const target = join(folder, 'fetched');
  const fetched = await tell<Fetched>(fetcher, { do: 'fetch', manifest, target, from: [offer] });
  const holderCost = await tell<Cost>(holder, { do: 'cost' });
  await Promise.all([stop(holder), stop(fetcher)]);
  await rm(target);
  return { ...fetched, holder: holderCost };
}

async function pipeOnce(path: string, mebibytes: number): Promise<Round> {
  const [out, into] = await Promise.all([startEnd(), startEnd()]);
  const { port } = await tell<{ port: number }>(out, { do: 'pipe-out', path });
  const fetched = await tell<Fetched>(into, { do: 'pipe-in', port, mebibytes });
  const holder = await tell<Cost>(out, { do: 'cost' });
  await Promise.all([stop(out), stop(into)]);
  return { ...fetched, holder };
}

/** Measures both in turn, `rounds` times each, with a file of `mebibytes` MiB in the page cache, fetched into `into`. */
export async function benchPipe({ mebibytes = 1024, rounds = ROUNDS, into = tmpdir() } = {}): Promise<PipeResult> {
  const folder = await mkdtemp(join(into, 'parley-bench-'));
  try {
    const path = join(folder, 'file');
    await writeRandom(path, mebibytes);
    const [downloads, pipes]: [Round[], Round[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      pipes.push(await pipeOnce(path, mebibytes));
      downloads.push(await downloadOnce(path, folder));
    }
    const downloadSeconds = median(downloads.map(({ seconds }) => seconds));
    const finishedSeconds = median(downloads.map((each) => each.finishedSeconds));
    const pipeSeconds = median(pipes.map(({ seconds }) => seconds));
    const cpu = (each: Round): number => each.cpuSeconds + each.holder.cpuSeconds;
    return {
      folder: into,
      downloadSeconds,
      finishedSeconds,
      pipeSeconds,
      ratio: pipeSeconds / downloadSeconds,
      finishedRatio: pipeSeconds / finishedSeconds,
      downloadCpuSeconds: median(downloads.map(cpu)),
      pipeCpuSeconds: median(pipes.map(cpu)),
      fetcherPeakMebibytes: Math.max(...downloads.map((each) => each.peakMebibytes)),
      holderPeakMebibytes: Math.max(...downloads.map((each) => each.holder.peakMebibytes)),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Measures and prints; the goals are a ratio of 0.6 and 150 MB. On tmpfs, too, where there is one: its files are no disk's noise. */
export async function printPipe(): Promise<void> {
  for (const into of [tmpdir(), '/dev/shm'].filter((path) => existsSync(path))) {
    const result = await benchPipe({ into });
    const { ratio, finishedRatio, downloadSeconds, finishedSeconds, pipeSeconds } = result;
    console.log(
      `download 1 GiB into ${into}, 1 holder: ${ratio.toFixed(2)} x a bare TLS pipe (goal 0.6), ${finishedRatio.toFixed(2)} x until ` +
        `verified again, synced and named: ${downloadSeconds.toFixed(2)} s and ${finishedSeconds.toFixed(2)} s against ${pipeSeconds.toFixed(2)} s`,
    );
    console.log(
      `  CPU of both ends ${result.downloadCpuSeconds.toFixed(2)} s against ${result.pipeCpuSeconds.toFixed(2)} s; peak memory (goal 150): ` +
        `fetcher ${result.fetcherPeakMebibytes.toFixed(0)} MiB, holder ${result.holderPeakMebibytes.toFixed(0)} MiB`,
    );
  }
}
