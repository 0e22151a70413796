/** The manifest of a file: one streaming pass over its bytes. */
import type { Manifest } from '../protocol/values.js';
import { chunkDigest, DIGEST_BYTES, hashInto, manifestRoot } from './digest.js';
import { readSpans, stablePass } from './files.js';
import type { FileIdentity, Readable } from './files.js';
import { blockLength, blocksOfChunk, chunkOfBlock, planChunks, spansOf } from './plan.js';
import type { Plan, Span } from './plan.js';

/** A file's manifest, and what its holder needs besides. */
export interface BuiltManifest {
  readonly manifest: Manifest;
  readonly plan: Plan;
  /** The digests of all blocks in order, 32 bytes each. */
  readonly blockDigests: Buffer;
  /** The file these bytes were read from. */
  readonly identity: FileIdentity;
}

export interface PassOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told the bytes that are done after each read, up to the file's size; begins anew when a changed file is read again. */
  readonly onProgress?: ((doneBytes: number, sizeBytes: number) => void) | undefined;
}

/**
 * Cuts the file at `path` into `chunks` chunks and hashes it. Reads go on in the thread pool while the loop hashes, about 1 MiB at a
 * time; memory stays under 8 MiB and 32 bytes a block.
 * @throws ParleyError FILE_MISSING (with a reason), BAD_CHUNK_COUNT
 */
export async function buildManifest(path: string, chunks: number, options: PassOptions = {}): Promise<BuiltManifest> {
  const { identity, result } = await stablePass(path, options.signal, async (file, { sizeBytes }) => {
    const plan = planChunks(sizeBytes, chunks);
    const digests = await hashBytes(file, plan, options);
    return digests && { plan, ...digests };
  });
  const { plan, blockDigests, chunkDigests } = result;
  const root = manifestRoot({ sizeBytes: plan.sizeBytes, chunkDigests });
  return { manifest: { sizeBytes: plan.sizeBytes, chunkDigests, root }, plan, blockDigests, identity };
}

interface Digests {
  readonly blockDigests: Buffer;
  readonly chunkDigests: Buffer;
}

/** The digests of all blocks and chunks; undefined when the file ends early. */
export async function hashBytes(file: Readable, plan: Plan, options: PassOptions): Promise<Digests | undefined> {
  const digests = {
    blockDigests: Buffer.alloc(plan.blocks * DIGEST_BYTES),
    chunkDigests: Buffer.alloc(plan.chunks * DIGEST_BYTES),
  };
  if (plan.blocks === 0) chunkDigest(Buffer.alloc(0)).copy(digests.chunkDigests);
  for await (const { span, bytes } of readSpans(file, spansOf(plan), options.signal)) {
    if (bytes.length < span.length) return undefined;
    hashSpan(plan, span, bytes, digests);
    options.onProgress?.(span.offset + span.length, plan.sizeBytes);
  }
  return digests;
}

function hashSpan(plan: Plan, span: Span, bytes: Buffer, { blockDigests, chunkDigests }: Digests): void {
  const end = span.blocks.first + span.blocks.count;
  let at = 0;
  let next = span.blocks.first;
  while (next < end) {
    const chunk = chunkOfBlock(plan, next);
    const { first, count } = blocksOfChunk(plan, chunk);
    for (; next < Math.min(end, first + count); next++) {
      hashInto(bytes.subarray(at, (at += blockLength(plan, next))), blockDigests, next * DIGEST_BYTES);
    }
    if (next < first + count) return;
    const ofChunk = blockDigests.subarray(first * DIGEST_BYTES, next * DIGEST_BYTES);
    hashInto(ofChunk, chunkDigests, chunk * DIGEST_BYTES);
  }
}
