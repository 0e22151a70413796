/** What the tests of this layer share: folders that vanish, bytes that repeat, and the code of a refusal. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blockDigest, chunkDigest, manifestRoot } from '../../src/chunks/digest.js';
import type { Part } from '../../src/chunks/part.js';
import { blockPlace, blocksOfChunk, planChunks } from '../../src/chunks/plan.js';
import type { Plan } from '../../src/chunks/plan.js';
import { ParleyError } from '../../src/protocol/errors.js';
import type { Manifest } from '../../src/protocol/values.js';

export const MIB = 1024 * 1024;

/** Gives each test of the suite its own folder and removes it afterwards; returns how to name a file in it. */
export function useFolder(): (name: string) => string {
  let folder = '';
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'parley-chunks-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));
  return (name) => join(folder, name);
}

/** Bytes that look random and are the same for the same seed. */
export function bytesOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(Math.ceil(length / 4) * 4);
  let x = (seed * 0x9e3779b1) | 1;
  for (let i = 0; i < bytes.length; i += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes.writeInt32LE(x | 0, i);
  }
  return bytes.subarray(0, length);
}

/** The error that a promise ends in; fails when it ends well. */
export async function refusalOf(promise: Promise<unknown>): Promise<ParleyError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ParleyError) return error;
  throw new Error(`a ParleyError was expected, not ${String(error)}`);
}

/** A file to be fetched, in memory. */
export interface Sample {
  readonly bytes: Buffer;
  readonly manifest: Manifest;
  readonly plan: Plan;
  block(block: number): Buffer;
  /** The digests of a chunk's blocks. */
  digests(chunk: number): Buffer;
}

export function sampleOf(bytes: Buffer, chunks: number): Sample {
  const plan = planChunks(bytes.length, chunks);
  const block = (index: number): Buffer => {
    const { offset, length } = blockPlace(plan, index);
    return bytes.subarray(offset, offset + length);
  };
  const digests = (chunk: number): Buffer => {
    const { first, count } = blocksOfChunk(plan, chunk);
    return Buffer.concat(Array.from({ length: count }, (_, i) => blockDigest(block(first + i))));
  };
  const chunkDigests = Buffer.concat(Array.from({ length: chunks }, (_, chunk) => chunkDigest(digests(chunk))));
  const manifest = { sizeBytes: bytes.length, chunkDigests };
  return { bytes, plan, block, digests, manifest: { ...manifest, root: manifestRoot(manifest) } };
}

/** A file of 70 MiB in 1 chunk: too large to be looked through as a matter of course. */
export function largeSample(): Sample {
  const bytes = Buffer.alloc(70 * MIB, bytesOf(MIB, 5));
  for (let i = 0; i < 70; i++) bytes.writeUInt8(i, i * MIB);
  return sampleOf(bytes, 1);
}

/** Does what a download does: learns and writes blocks, those that are missing unless told otherwise. */
export async function fetchInto(part: Part, sample: Sample, blocks: readonly number[] = part.missing()): Promise<void> {
  for (const block of blocks) {
    const { chunk } = blockPlace(sample.plan, block);
    part.learn(chunk, sample.digests(chunk));
    await part.write(block, sample.block(block));
  }
}
