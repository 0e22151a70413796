/** Which blocks of a `.part` are good after an earlier run, or another program, had its hands on it (R26). */
import { BLOCK_BYTES } from '../protocol/limits.js';
import { BitSet } from './bits.js';
import type { BlockThread } from './blockthread.js';
import type { DigestTable } from './digesttable.js';
import { readSpans } from './files.js';
import type { Readable } from './files.js';
import { blockLength, blocksOfChunks, bytesOfBlocks, spansOf } from './plan.js';
import type { BlockRange, Plan, Span } from './plan.js';
import { checkBlocks, lengthsOf } from './runs.js';
import type { SealedProgress, Subject } from './sidecar.js';
import type { PartStore } from './store.js';

/** Space is given to files in pages of this size, on the common file systems. */
const PAGE_BYTES = 4096;
/** Files up to this size are looked through after each kill: it takes about 10 ms. */
const SMALL_FILE_BYTES = 64 * 1024 * 1024;
/** Bytes, and blocks, that two threads that share a pass take at a time. */
const STRETCH_BYTES = 16 * 1024 * 1024;
const MAX_STRETCH_BLOCKS = 1024;

export interface RecoverOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told the bytes verified so far, and how many there are to verify at least. */
  readonly onProgress?: ((doneBytes: number, ofBytes: number) => void) | undefined;
}

/**
 * The blocks that are in the file. When it is as it was left in good order, those that are claimed. Otherwise by their BLAKE3
 * digests: each claimed one is read again, for a claim only says that it was there.
 * A process that was killed has written more than it claimed; that shows in the space the file takes, and then the blocks not
 * claimed are looked through as well, so that nothing verified is fetched twice.
 */
export async function recoverBlocks(
  file: Pick<PartStore, 'read' | 'allocatedBytes' | 'stamp'>,
  subject: Subject,
  { digests, claimed, seal }: SealedProgress,
  options: RecoverOptions = {},
): Promise<BitSet> {
  if (seal !== undefined && seal === (await file.stamp?.())) return claimed;
  const { plan } = subject;
  const held = new BitSet(plan.blocks);
  const claims = [...claimed.runs()];
  const claimedBytes = claims.reduce((sum, run) => {
    const { start, end } = rangeOf(plan, run);
    return sum + end - start;
  }, 0);
  let done = 0;
  await verifyBlocks(file, digests, claims, options.signal, (block, length, good) => {
    if (good) held.add(block);
    done += length;
    options.onProgress?.(done, claimedBytes);
  });

  let unclaimedBytes = (await file.allocatedBytes()) - allocatedFor(plan, claims);
  const fewestBytes = plan.sizeBytes <= SMALL_FILE_BYTES ? -Infinity : blockLength(plan, 0) / 2;
  if (unclaimedBytes < fewestBytes) return held;
  const unclaimed = unclaimedRuns(digests, claimed);
  await verifyBlocks(file, digests, unclaimed, options.signal, (block, length, good) => {
    if (good && held.add(block)) unclaimedBytes -= length;
    return unclaimedBytes >= fewestBytes;
  });
  if (plan.sizeBytes <= SMALL_FILE_BYTES) await findUnnoted(file, subject, digests, held, options.signal);
  return held;
}

/** Chunks of one block that were written, but whose digests were not noted any more: the manifest's digests know them. */
async function findUnnoted(
  file: Readable,
  subject: Subject,
  digests: DigestTable,
  held: BitSet,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { plan } = subject;
  if (plan.blocksPerLongChunk > 1 || plan.blocksPerShortChunk > 1) return;
  const unknown = [...digests.chunks.runs(false)].map((chunks) => blocksOfChunks(plan, chunks));
  for await (const { span, bytes } of readSpans(file, spansOfRuns(plan, unknown), signal)) {
    if (bytes.length !== span.length) continue;
    const { first, count } = span.blocks;
    const wrong = new Set(checkBlocks(subject, digests, span.blocks, bytes, ignore));
    for (let block = first; block < first + count; block++) if (!wrong.has(block)) held.add(block);
  }
}

/**
 * Which blocks of `runs` have not the bytes of their digests, all of which are known. With a `thread`, it looks at as many as it can
 * meanwhile.
 */
export async function spoiltBlocks(
  file: Pick<PartStore, 'read' | 'fd'>,
  digests: DigestTable,
  runs: readonly BlockRange[],
  options: RecoverOptions,
  thread?: BlockThread,
): Promise<number[]> {
  const { plan } = digests;
  const ofBytes = runs.reduce((sum, run) => sum + bytesOfBlocks(plan, run).length, 0);
  const spoilt: number[] = [];
  let done = 0;
  const judge = (block: number, length: number, good: boolean): void => {
    if (!good) spoilt.push(block);
    done += length;
    options.onProgress?.(done, ofBytes);
  };
  const { fd } = file;
  // Each takes the next stretch when it is done with one.
  const stretches = stretchesOf(plan, runs);
  const here = verifyBlocks(file, digests, stretches, options.signal, judge);
  const there = fd === undefined || thread === undefined ? undefined : verifyBy(thread, fd, digests, stretches);
  const lookThere = async (): Promise<void> => {
    for await (const [block, length, good] of there ?? []) {
      judge(block, length, good);
      options.signal?.throwIfAborted();
    }
  };
  // Neither may go on with the file when this is over.
  for (const outcome of await Promise.allSettled([here, lookThere()])) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
  return spoilt.sort((a, b) => a - b);
}

/** As `verifyBlocks`, by another thread. */
async function* verifyBy(
  thread: BlockThread,
  fd: number,
  digests: DigestTable,
  stretches: Iterable<BlockRange>,
): AsyncGenerator<[block: number, length: number, good: boolean], void, void> {
  for (const blocks of stretches) {
    const lengths = lengthsOf(digests.plan, blocks);
    const { offset: position } = bytesOfBlocks(digests.plan, blocks);
    const expected = digests.of(blocks);
    const { good } = await thread.run({ fd, position, lengths, expected, of: 'block', bytes: undefined });
    for (const [i, length] of lengths.entries()) yield [blocks.first + i, length, good[i] === true];
  }
}

/** The blocks of `runs` in stretches that take some milliseconds. */
function* stretchesOf(plan: Plan, runs: readonly BlockRange[]): Generator<BlockRange, void, void> {
  const largest = Math.min(BLOCK_BYTES, plan.shortChunkBytes + 1);
  const most = Math.min(MAX_STRETCH_BLOCKS, Math.max(1, Math.floor(STRETCH_BYTES / largest)));
  for (const { first, count } of runs) {
    const end = first + count;
    for (let next = first; next < end; next += most) yield { first: next, count: Math.min(most, end - next) };
  }
}

/**
 * Reads the blocks of `runs` and says of each whether its bytes are those of its digest; a block whose digest is not known is not
 * good. Ends early when `judge` returns false.
 */
async function verifyBlocks(
  file: Readable,
  digests: DigestTable,
  runs: Iterable<BlockRange>,
  signal: AbortSignal | undefined,
  judge: (block: number, length: number, good: boolean) => unknown,
): Promise<void> {
  const { plan } = digests;
  for await (const { span, bytes } of readSpans(file, spansOfRuns(plan, runs), signal)) {
    const { first, count } = span.blocks;
    let at = 0;
    for (let block = first; block < first + count; block++) {
      const length = blockLength(plan, block);
      const found = bytes.subarray(at, (at += length));
      if (judge(block, length, found.length === length && digests.isBlock(block, found)) === false) return;
    }
  }
}

function* spansOfRuns(plan: Plan, runs: Iterable<BlockRange>): Generator<Span, void, void> {
  for (const run of runs) yield* spansOf(plan, run);
}

/** Of the chunks whose digests are known. */
function* unclaimedRuns(digests: DigestTable, claimed: BitSet): Generator<BlockRange, void, void> {
  for (const chunks of digests.chunks.runs()) yield* claimed.runs(false, blocksOfChunks(digests.plan, chunks));
}

/** Bytes from the first to the last of a run. */
function rangeOf(plan: Plan, run: BlockRange): { start: number; end: number } {
  const { offset, length } = bytesOfBlocks(plan, run);
  return { start: offset, end: offset + length };
}

/** Space that a file takes which has these runs, and holes between them. */
function allocatedFor(plan: Plan, runs: readonly BlockRange[]): number {
  let pages = 0;
  let nextPage = 0;
  for (const run of runs) {
    const { start, end } = rangeOf(plan, run);
    const first = Math.max(nextPage, Math.floor(start / PAGE_BYTES));
    nextPage = Math.ceil(end / PAGE_BYTES);
    pages += nextPage - first;
  }
  return pages * PAGE_BYTES;
}

const ignore = (): void => undefined;
