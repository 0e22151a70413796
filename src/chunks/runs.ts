/** Checking blocks that stand side by side: on this thread, or what another one checks them by. */
import type { Manifest } from '../protocol/values.js';
import type { BlockJob } from './blockjob.js';
import { DIGEST_BYTES, digestAt, digestsOf, hashInto, isDigestAt } from './digest.js';
import type { DigestTable } from './digesttable.js';
import { blockLength, blockPlace, blocksOfChunk, bytesOfBlocks, chunkOfBlock } from './plan.js';
import type { BlockRange, Plan } from './plan.js';
import type { Subject } from './sidecar.js';

/** Chunks of one block that are compared with the manifest together: a MiB of the smallest that a file of 1 GiB can have. */
const AT_ONCE = 64;
/** Digests of what is being looked at: thousands a second, and never two at once. */
const ofBlocks = Buffer.alloc(AT_ONCE * DIGEST_BYTES);
const ofChunks = Buffer.alloc(AT_ONCE * DIGEST_BYTES);
/** Each of them. */
const ofBlock = Array.from({ length: AT_ONCE }, (_, i) => digestAt(ofBlocks, i));
const ofChunk = Array.from({ length: AT_ONCE }, (_, i) => digestAt(ofChunks, i));

/** Blocks that can be checked together, and whether they are chunks of one block each, which the manifest has the digests of. */
interface Checkable {
  readonly chunk: number;
  readonly alone: boolean;
}

/** @throws RangeError when they are neither of one chunk whose digests are known nor chunks of one block each */
function expectCheckable(plan: Plan, digests: DigestTable, { first, count }: BlockRange): Checkable {
  const chunk = chunkOfBlock(plan, first);
  const lastChunk = chunkOfBlock(plan, first + count - 1);
  // Each chunk has at least one block: so many blocks in so many chunks are one each, but for the first and the last.
  const alone = lastChunk - chunk === count - 1 && isOneBlock(plan, chunk) && isOneBlock(plan, lastChunk);
  if (!alone && (chunk !== lastChunk || !digests.has(chunk))) throw new RangeError(`chunk ${chunk} was not learnt`);
  return { chunk, alone };
}

function isOneBlock(plan: Plan, chunk: number): boolean {
  return blocksOfChunk(plan, chunk).count === 1;
}

/**
 * Checks blocks of one chunk whose digests are known, or of chunks that are one block each; `bytes` are theirs, one behind another.
 * Returns the numbers of those that are wrong. The digests of chunks of one block that are right are taken into `digests`, and `onLearnt`
 * is told these chunks.
 * @throws RangeError when the blocks are neither, or of another length
 */
export function checkBlocks(
  { plan, manifest }: Subject,
  digests: DigestTable,
  blocks: BlockRange,
  bytes: Buffer,
  onLearnt: (chunks: BlockRange) => void,
): number[] {
  const { chunk: firstChunk, alone } = expectCheckable(plan, digests, blocks);
  const { length: expectedLength } = bytesOfBlocks(plan, blocks);
  if (bytes.length !== expectedLength) throw new RangeError(`${bytes.length} bytes are not these blocks`);
  if (!alone) return wrongOfChunk(plan, digests, blocks, bytes);
  const learn = (chunks: BlockRange, found: Buffer): void => digests.learnAlone(chunks, found).forEach(onLearnt);
  const wrong: number[] = [];
  let at = 0;
  for (let done = 0; done < blocks.count; done += AT_ONCE) {
    const some = { first: blocks.first + done, count: Math.min(AT_ONCE, blocks.count - done) };
    at = hashAlone(plan, some, bytes, at);
    const chunks = { first: firstChunk + done, count: some.count };
    if (areChunks(manifest, chunks)) {
      learn(chunks, digestsOf(ofBlocks, { first: 0, count: some.count }));
      continue;
    }
    for (const [i, digest] of ofChunk.slice(0, some.count).entries()) {
      if (!isDigestAt(manifest.chunkDigests, chunks.first + i, digest)) wrong.push(some.first + i);
      else learn({ first: chunks.first + i, count: 1 }, digestAt(ofBlocks, i));
    }
  }
  return wrong;
}

function wrongOfChunk(plan: Plan, digests: DigestTable, { first, count }: BlockRange, bytes: Buffer): number[] {
  const wrong: number[] = [];
  let at = 0;
  for (let block = first; block < first + count; block++) {
    if (!digests.isBlock(block, bytes.subarray(at, (at += blockLength(plan, block))))) wrong.push(block);
  }
  return wrong;
}

/** Fills in the digests of at most AT_ONCE blocks, whose bytes begin at `at`, and of their chunks. Returns where they end. */
function hashAlone(plan: Plan, { first, count }: BlockRange, bytes: Buffer, at: number): number {
  for (let i = 0; i < count; i++) {
    const begin = at;
    at += blockLength(plan, first + i);
    hashInto(bytes.subarray(begin, at), ofBlocks, i * DIGEST_BYTES);
    hashInto(ofBlock[i] ?? ofBlocks, ofChunks, i * DIGEST_BYTES);
  }
  return at;
}

/** Whether the digests that were just filled in are those of all these chunks. */
function areChunks({ chunkDigests }: Manifest, { first, count }: BlockRange): boolean {
  return (
    ofChunks.compare(chunkDigests, first * DIGEST_BYTES, (first + count) * DIGEST_BYTES, 0, count * DIGEST_BYTES) === 0
  );
}

/**
 * The digests, places and lengths of such blocks, by which another thread checks them.
 * @throws RangeError when they are neither of one chunk whose digests are known nor chunks of one block each
 */
export function runToCheck(
  { plan, manifest }: Subject,
  digests: DigestTable,
  blocks: BlockRange,
): Pick<BlockJob, 'position' | 'lengths' | 'expected' | 'of'> {
  const { chunk, alone } = expectCheckable(plan, digests, blocks);
  const place = { position: blockPlace(plan, blocks.first).offset, lengths: lengthsOf(plan, blocks) };
  if (!alone) return { ...place, expected: digests.of(blocks), of: 'block' };
  const expected = digestsOf(manifest.chunkDigests, { first: chunk, count: blocks.count });
  return { ...place, expected, of: 'chunk' };
}

/** Bytes of each of the blocks. */
export function lengthsOf(plan: Plan, { first, count }: BlockRange): number[] {
  return Array.from({ length: count }, (_, i) => blockLength(plan, first + i));
}
