/** Checking blocks that stand side by side: on this thread, or what another one checks them by. */
import { splitRun } from './bits.js';
import type { BlockJob } from './blockjob.js';
import { DIGEST_BYTES, digestsOf, hashInto } from './digest.js';
import type { DigestTable } from './digesttable.js';
import { blockLength, blockPlace, blocksOfChunk, bytesOfBlocks, chunkOfBlock } from './plan.js';
import type { BlockRange, Plan } from './plan.js';
import { digestsBelong } from './sidecar.js';
import type { Subject } from './sidecar.js';

/** The digest of the block that is being looked at: thousands a second, and never two at once. */
const ofBlock = Buffer.alloc(DIGEST_BYTES);

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
  subject: Subject,
  digests: DigestTable,
  blocks: BlockRange,
  bytes: Buffer,
  onLearnt: (chunks: BlockRange) => void,
): number[] {
  const { plan } = subject;
  const { chunk: firstChunk, alone } = expectCheckable(plan, digests, blocks);
  const { length: expectedLength } = bytesOfBlocks(plan, blocks);
  if (bytes.length !== expectedLength) throw new RangeError(`${bytes.length} bytes are not these blocks`);
  let at = 0;
  const bytesOf = (block: number): Buffer => bytes.subarray(at, (at += blockLength(plan, block)));
  if (!alone) return splitRun(blocks, (block) => digests.isBlock(block, bytesOf(block))).wrong;
  const found = Buffer.allocUnsafe(blocks.count * DIGEST_BYTES);
  const { right, wrong } = splitRun(blocks, (block) => {
    const index = block - blocks.first;
    hashInto(bytesOf(block), ofBlock);
    found.set(ofBlock, index * DIGEST_BYTES);
    return digestsBelong(subject, firstChunk + index, ofBlock);
  });
  for (const { first, count } of right) {
    const index = first - blocks.first;
    digests
      .learnAlone({ first: firstChunk + index, count }, digestsOf(found, { first: index, count }))
      .forEach(onLearnt);
  }
  return wrong;
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
