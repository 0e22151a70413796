/** What this user has of the same bytes elsewhere need not come over a link. */
import { BLOCK_BYTES } from '../../protocol/limits.js';
import { toParleyError } from '../../protocol/errors.js';
import { blockDigest, digestAt } from '../../chunks/digest.js';
import type { Part } from '../../chunks/part.js';
import { blockPlace } from '../../chunks/plan.js';
import type { DownloadResult } from '../../p2p/download.js';
import { numbersIn } from '../../p2p/fetch.js';
import type { Share } from '../../p2p/share.js';

/**
 * Copies the whole chunks among `chunks` that `share` has into `part`, verified; `user` is who they count as coming from. What turns out not to be there is left out.
 * @throws ParleyError DISK_FULL; what the signal aborts with
 */
export async function copyOwn(
  share: Share | undefined,
  part: Part,
  chunks: readonly number[],
  user: string,
  signal: AbortSignal,
): Promise<DownloadResult> {
  const copied: number[] = [];
  if (share === undefined) return { chunks: copied, sources: [] };
  const there = new Set(numbersIn(share.heldChunks(), part.plan.chunks));
  let bytes = 0;
  const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
  for (const chunk of chunks) {
    if (part.hasChunk(chunk) || !there.has(chunk)) continue;
    const digests = share.blockDigests(chunk);
    if (digests === undefined) continue;
    try {
      part.learn(chunk, digests);
      for (const block of part.missing(chunk)) {
        signal.throwIfAborted();
        const { indexInChunk } = blockPlace(part.plan, block);
        const copy = buffer.subarray(0, await share.read(block, buffer, 0, 1));
        if (!blockDigest(copy).equals(digestAt(digests, indexInChunk))) break;
        await part.write(block, copy);
        bytes += copy.length;
      }
    } catch (thrown) {
      const { code } = toParleyError(thrown);
      if (code !== 'CHUNK_GONE' && code !== 'HASH_MISMATCH') throw thrown;
    }
    if (part.hasChunk(chunk)) copied.push(chunk);
  }
  return { chunks: copied, sources: bytes === 0 ? [] : [{ user, bytes }] };
}
