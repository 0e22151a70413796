/** What this user has of the same bytes elsewhere need not come over a link. */
import { BitSet } from '../../chunks/bits.js';
import type { Part } from '../../chunks/part.js';
import { blocksOfChunk, blocksOfChunks, chunkOfBlock, spansOf } from '../../chunks/plan.js';
import type { Span } from '../../chunks/plan.js';
import type { DownloadResult } from '../../p2p/download.js';
import type { Share } from '../../p2p/share.js';
import { toParleyError } from '../../protocol/errors.js';
import { BLOCK_BYTES } from '../../protocol/limits.js';

/**
 * Copies the whole chunks among `chunks` that `share` has into `part`, verified; `user` is who they count as coming from. What turns out not to be there is left out.
 * @throws ParleyError DISK_FULL; what the signal aborts with
 */
export async function copyOwn(
  share: Share | undefined,
  part: Part,
  chunks: BitSet,
  user: string,
  signal: AbortSignal,
): Promise<DownloadResult> {
  const count = part.plan.chunks;
  if (share === undefined) return { chunks: new BitSet(count), sources: [] };
  const wanted = chunks.copy();
  wanted.keep(BitSet.of(share.heldChunks(), count));
  wanted.subtract(BitSet.of(part.heldChunks(), count));
  const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
  let bytes = 0;
  for (const span of missingSpans(part, wanted)) {
    signal.throwIfAborted();
    if (await copySpan(share, part, span, buffer)) bytes += span.length;
  }
  wanted.keep(BitSet.of(part.heldChunks(), count));
  return { chunks: wanted, sources: bytes === 0 ? [] : [{ user, bytes }] };
}

/** The blocks of these chunks that `part` has not, 1 MiB at a time: blocks of one chunk, or chunks of one block each. */
function missingSpans(part: Part, chunks: BitSet): Span[] {
  const { plan, heldBlocks } = part;
  const runs = [...chunks.runs()].flatMap((run) => [...heldBlocks.runs(false, blocksOfChunks(plan, run))]);
  return runs.flatMap((run) => [...spansOf(plan, run)]);
}

/** Whether it could be had. */
async function copySpan(share: Share, part: Part, { blocks, length }: Span, buffer: Buffer): Promise<boolean> {
  const { first, count } = blocks;
  const chunk = chunkOfBlock(part.plan, first);
  try {
    if (blocksOfChunk(part.plan, chunk).count > 1) {
      const digests = share.blockDigests(chunk);
      if (digests === undefined) return false;
      part.learn(chunk, digests);
    }
    await share.read(first, buffer, 0, count);
    const copy = buffer.subarray(0, length);
    if (part.check(blocks, copy).length > 0) return false;
    await part.write(first, copy, count);
    return true;
  } catch (thrown) {
    const { code } = toParleyError(thrown);
    if (code !== 'CHUNK_GONE' && code !== 'HASH_MISMATCH') throw thrown;
    return false;
  }
}
