/** What blocks that stand side by side are checked by. */
import type { BlockJob } from './blockjob.js';
import { DIGEST_BYTES } from './digest.js';
import { blockPlace, blocksOfChunk } from './plan.js';
import type { BlockRange } from './plan.js';
import type { Subject } from './sidecar.js';

/**
 * The digests, places and lengths of blocks: of one chunk whose digests are known, or of chunks that are one block each.
 * @throws RangeError when they are neither
 */
export function runToCheck(
  { plan, manifest }: Subject,
  digests: ReadonlyMap<number, Buffer>,
  { first, count }: BlockRange,
): Pick<BlockJob, 'position' | 'lengths' | 'expected' | 'of'> {
  const { chunk, indexInChunk, offset } = blockPlace(plan, first);
  const last = blockPlace(plan, first + count - 1);
  const lengths = Array.from({ length: count }, (_, i) => blockPlace(plan, first + i).length);
  // Each chunk has at least one block: so many blocks in so many chunks are one each.
  const alone = last.chunk - chunk === count - 1 && indexInChunk === 0 && isOneBlock(plan, last.chunk);
  if (alone) {
    const expected = manifest.chunkDigests.subarray(chunk * DIGEST_BYTES, (last.chunk + 1) * DIGEST_BYTES);
    return { position: offset, lengths, expected, of: 'chunk' };
  }
  const known = digests.get(chunk);
  if (known === undefined || last.chunk !== chunk) throw new RangeError(`chunk ${chunk} was not learnt`);
  const expected = known.subarray(indexInChunk * DIGEST_BYTES, (last.indexInChunk + 1) * DIGEST_BYTES);
  return { position: offset, lengths, expected, of: 'block' };
}

function isOneBlock(plan: Subject['plan'], chunk: number): boolean {
  return blocksOfChunk(plan, chunk).count === 1;
}
