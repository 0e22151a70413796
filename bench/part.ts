/** What a `.part` costs: claiming in batches beside not claiming at all, and resuming 10 GB with and without its seal. */
import { mkdtemp, rm, truncate, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Claims } from '../src/chunks/claims.js';
import { blockDigest, chunkDigest, manifestRoot } from '../src/chunks/digest.js';
import { openPart } from '../src/chunks/part.js';
import { blockPlace, blocksOfChunk, planChunks } from '../src/chunks/plan.js';
import type { Plan } from '../src/chunks/plan.js';
import type { Manifest } from '../src/protocol/values.js';
import { ROUNDS, interleave, median, printSeconds } from './measure.js';
import { atMostRow } from './rows.js';
import type { Row } from './rows.js';

const MIB = 1024 * 1024;
const WRITTEN_BYTES = 1024 * MIB;
const LARGE_BYTES = 10 * 1024 * MIB;
const MAX_SECONDS = 1;

interface Zeros {
  readonly plan: Plan;
  readonly manifest: Manifest;
  digests(chunk: number): Buffer;
}

/** A file of zeros, which needs not be written to be verified. */
function zeros(sizeBytes: number, chunks: number): Zeros {
  const plan = planChunks(sizeBytes, chunks);
  const whole = blockDigest(Buffer.alloc(MIB));
  const digests = (chunk: number): Buffer => {
    const { first, count } = blocksOfChunk(plan, chunk);
    const ofBlock = (block: number): Buffer => {
      const { length } = blockPlace(plan, block);
      return length === MIB ? whole : blockDigest(Buffer.alloc(length));
    };
    return Buffer.concat(Array.from({ length: count }, (_, i) => ofBlock(first + i)));
  };
  const chunkDigests = Buffer.concat(Array.from({ length: chunks }, (_, chunk) => chunkDigest(digests(chunk))));
  const manifest = { sizeBytes, chunkDigests };
  return { plan, manifest: { ...manifest, root: manifestRoot(manifest) }, digests };
}

export async function benchPart(): Promise<readonly Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  const rows: Row[] = [];
  try {
    await benchClaims(join(folder, 'f'));
    for (const chunks of [1, 65_536]) rows.push(...(await benchResume(join(folder, `g${chunks}`), chunks)));
    return rows;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes 1 GiB of blocks as fast as they go, which is faster than they ever come, and finishes: that is synced in any case. */
async function benchClaims(target: string): Promise<void> {
  console.log('\n1 GiB of blocks written to a .part as fast as they go, and finished; 5 times each');
  const file = zeros(WRITTEN_BYTES, 5);
  const block = Buffer.alloc(MIB);
  const add = Object.getOwnPropertyDescriptor(Claims.prototype, 'add')?.value as Claims['add'];
  const written: Record<string, number[]> = {};
  const run = async (how: string): Promise<void> => {
    const began = performance.now();
    const part = await openPart({ target, manifest: file.manifest });
    for (let chunk = 0; chunk < file.plan.chunks; chunk++) part.learn(chunk, file.digests(chunk));
    for (let i = 0; i < file.plan.blocks; i++) {
      part.writeNow(i, block.subarray(0, blockPlace(file.plan, i).length));
      if (i % 8 === 7) await new Promise(setImmediate);
    }
    (written[how] ??= []).push((performance.now() - began) / 1000);
    await part.finish();
    await part.close();
    await rm(target);
  };
  const names = { claimed: 'claimed every 64 MiB', unclaimed: 'never claimed' };
  const finished = await interleave({
    [names.claimed]: () => run(names.claimed),
    [names.unclaimed]: async () => {
      Claims.prototype.add = () => undefined;
      await run(names.unclaimed).finally(() => (Claims.prototype.add = add));
    },
  });
  console.log('  until the last block was written:');
  printSeconds(written);
  console.log('  until the file had its name:');
  printSeconds(finished);
}

/** Opens a sparse `.part` of 10 GiB of which all is claimed but the last block: as it was left, and after somebody touched it. */
async function benchResume(target: string, chunks: number): Promise<readonly Row[]> {
  const file = zeros(LARGE_BYTES, chunks);
  const { manifest, plan } = file;
  const part = await openPart({ target, manifest });
  await truncate(part.path, LARGE_BYTES);
  for (let chunk = 0; chunk < chunks; chunk++) part.learn(chunk, file.digests(chunk));
  for (let block = 0; block < plan.blocks - 1; block++) part.markWritten(block);
  await part.close();
  const open = async (): Promise<number> => {
    const began = performance.now();
    const again = await openPart({ target, manifest });
    const seconds = (performance.now() - began) / 1000;
    if (again.missing().length !== 1) throw new Error(`${again.missing().length} blocks are missing`);
    await again.close();
    return seconds;
  };
  const left: number[] = [];
  for (let round = 0; round < ROUNDS; round++) left.push(await open());
  await utimes(part.path, 1, 1);
  const touched = await open();
  await rm(part.path);
  const spread = `${Math.min(...left).toFixed(3)} to ${Math.max(...left).toFixed(3)} s`;
  const what = `a .part of 10 GiB in ${chunks.toLocaleString('en')} ${chunks === 1 ? 'chunk' : 'chunks'} resumed`;
  return [
    atMostRow(`${what}, closed in good order`, median(left), MAX_SECONDS, ' s', { ours: spread }),
    { what: `${what}, changed by another hand: all of it is read again`, reached: `${touched.toFixed(2)} s` },
  ];
}
