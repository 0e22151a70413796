/** Kills, cuts and flips of a `.part` and its sidecar, at random and the same for the same seed (R26). */
import { appendFile, copyFile, mkdir, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FRESH_MS } from '../../src/chunks/freshblocks.js';
import { openPart } from '../../src/chunks/part.js';
import type { Part } from '../../src/chunks/part.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { bytesOf, fetchInto, MIB, sampleOf } from './support.js';
import type { Sample } from './support.js';

/** What came of the runs. */
export interface KillPoints {
  runs: number;
  /** Blocks that were found good after a kill and damage, and so not fetched again. */
  resumedBlocks: number;
  /** Blocks that were damaged or lost and found out. */
  refetchedBlocks: number;
  /** Times that `finish` found damage done while the part was open. */
  caughtAtFinish: number;
}

type Random = (below: number) => number;

const SAMPLES = [
  sampleOf(bytesOf(40_000, 1), 37),
  sampleOf(bytesOf(40_000, 2), 1),
  sampleOf(bytesOf(MIB + 77, 3), 2),
  sampleOf(bytesOf(2 * MIB, 4), 1),
  sampleOf(bytesOf(0), 1),
];

/**
 * Fetches into a part, copies its files as a kill at that moment would leave them, damages the copies, resumes from these, and
 * damages once more before the end, after a pause.
 * @throws Error when a wrong byte was accepted, or a good block not
 */
export async function runKillPoints(folder: string, runs: number, seed: number): Promise<KillPoints> {
  const result: KillPoints = { runs, resumedBlocks: 0, refetchedBlocks: 0, caughtAtFinish: 0 };
  for (let run = 0; run < runs; run++) {
    const random = randomOf(seed * 1_000_003 + run);
    const sample = SAMPLES[random(SAMPLES.length)] ?? fail('no sample');
    const here = join(folder, String(run));
    await mkdir(here);
    try {
      await once(here, sample, random, result);
    } catch (error) {
      throw new Error(`seed ${seed}, run ${run}: ${String(error)}`, { cause: error });
    }
    await rm(here, { recursive: true });
  }
  return result;
}

async function once(folder: string, sample: Sample, random: Random, result: KillPoints): Promise<void> {
  const { manifest } = sample;
  const target = join(folder, 'f');
  const killed = await openPart({ target, manifest });
  const order = killed.missing().sort(() => random(3) - 1);
  const atKill = order.slice(0, random(order.length + 1));
  const flushAt = random(order.length + 1);
  await fetchInto(killed, sample, atKill.slice(0, flushAt));
  const isFlushed = random(3) > 0;
  if (isFlushed) await killed.flush();
  await fetchInto(killed, sample, atKill.slice(flushAt));
  const copy = join(folder, 'g');
  await copyFile(`${target}.part`, `${copy}.part`);
  await copyFile(`${target}.part.state`, `${copy}.part.state`);
  await killed.close();

  const damaged = await damage(copy, random);
  const clock = { ms: 0 };
  const options = { target: copy, manifest, now: () => clock.ms };
  const part = await openPart(options).catch((error: unknown) => {
    if (error instanceof ParleyError && error.code === 'TARGET_EXISTS' && damaged === 'no sidecar')
      return openPart({ ...options, overwrite: true });
    throw error;
  });
  try {
    await checkHeld(part, sample);
    const held = atKill.filter((block) => part.has(block)).length;
    // The records of a moment ago may be on their way to the sidecar still; those that were flushed are there.
    const flushed = isFlushed ? Math.min(flushAt, atKill.length) : 0;
    if (damaged === 'nothing' && held < flushed) fail('a good block is fetched again');
    result.resumedBlocks += held;
    result.refetchedBlocks += atKill.length - held;
    if (await finishDamaged(part, sample, random, clock)) result.caughtAtFinish += 1;
  } finally {
    await part.close();
  }
  if (!(await readFile(copy)).equals(sample.bytes)) fail('the file has wrong bytes');
}

/** Fetches the rest, damages the file while it is open, and finishes; returns whether damage was found then. */
async function finishDamaged(part: Part, sample: Sample, random: Random, clock: { ms: number }): Promise<boolean> {
  const { path } = part;
  const flip = random(2) === 0 && sample.bytes.length > 0;
  const rest = part.missing();
  const before = random(rest.length + 1);
  await fetchInto(part, sample, rest.slice(0, before));
  const { size } = await stat(path);
  clock.ms += FRESH_MS + 1;
  if (flip && size > 0) await flipByte(path, random(size), random);
  await fetchInto(part, sample);
  let found = false;
  for (;;) {
    try {
      await part.finish();
      return found;
    } catch (error) {
      if (!(error instanceof ParleyError) || error.code !== 'HASH_MISMATCH' || found) throw error;
      found = true;
      if (part.complete) fail('damage was found, but no block is missing');
      await fetchInto(part, sample);
    }
  }
}

async function checkHeld(part: Part, sample: Sample): Promise<void> {
  const target = Buffer.alloc(MIB);
  for (let block = 0; block < sample.plan.blocks; block++) {
    if (!part.has(block)) continue;
    const length = await part.read(block, target);
    if (!target.subarray(0, length).equals(sample.block(block))) fail(`block ${block} is wrong and was accepted`);
  }
}

async function damage(copy: string, random: Random): Promise<string> {
  const [part, state] = [`${copy}.part`, `${copy}.part.state`];
  const { size: partSize } = await stat(part);
  const { size: stateSize } = await stat(state);
  switch (random(10)) {
    case 0:
      return 'nothing';
    case 1:
      await truncate(part, random(partSize + 1));
      return 'part cut';
    case 2:
      await truncate(state, random(stateSize + 1));
      return 'sidecar cut';
    case 3:
      await flipByte(state, random(stateSize), random);
      return 'sidecar flipped';
    case 4:
      await rm(state);
      return 'no sidecar';
    case 5:
      await rm(part);
      return 'no part';
    case 6:
      await appendFile(random(2) === 0 ? part : state, bytesOf(1 + random(5000), random(1000)));
      return 'garbage';
    case 7:
      await zero(part, random(partSize + 1), random(partSize + 1));
      return 'lost pages';
    case 8:
      await writeFile(state, bytesOf(stateSize, random(1000)));
      return 'another sidecar';
    default:
      if (partSize > 0) for (let i = 0; i <= random(3); i++) await flipByte(part, random(partSize), random);
      return 'part flipped';
  }
}

async function flipByte(path: string, at: number, random: Random): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ (1 << random(8));
  await file.write(byte, 0, 1, at);
  await file.close();
}

async function zero(path: string, a: number, b: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(Math.abs(a - b)), 0, Math.abs(a - b), Math.min(a, b));
  await file.close();
}

function randomOf(seed: number): Random {
  let x = seed >>> 0;
  return (below) => {
    x = (x + 0x6d2b79f5) >>> 0;
    let t = Math.imul(x ^ (x >>> 15), x | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return below <= 0 ? 0 : ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

function fail(reason: string): never {
  throw new Error(reason);
}
