/** What can be served of a file: all of it, or what is there of one that is being fetched. */
import { BitSet } from '../chunks/bits.js';
import { DIGEST_BYTES } from '../chunks/digest.js';
import type { Part } from '../chunks/part.js';
import { blocksOfChunk } from '../chunks/plan.js';
import type { BlockRange, Plan } from '../chunks/plan.js';
import type { Source } from '../chunks/source.js';
import type { Digest } from '../protocol/values.js';

/** A file of which some blocks are here, to be served to others. */
export interface Share {
  readonly file: string;
  readonly plan: Plan;
  /** The chunks held whole, as the bitmap that travels. */
  heldChunks(): Buffer;
  /** The blocks held, for reading. */
  heldBlocks(): BitSet;
  /** The first of these blocks that is not held; undefined when all are. */
  lacks(blocks: BlockRange): number | undefined;
  /** Blocks that were asked for and are on their way here, in order. */
  coming(): readonly BlockRange[];
  /** Digests of a chunk's blocks in order; undefined when not known. */
  blockDigests(chunk: number): Buffer | undefined;
  /** Reads `count` blocks from `block` on (its number in the file) into `target` at `targetOffset`. @throws ParleyError CHUNK_GONE */
  read(block: number, target: Uint8Array, targetOffset: number, count: number): Promise<number>;
}

/** What is shared, by root. The agent's library is one. */
export interface Shares {
  find(root: Digest): Share | undefined;
}

/** A finished or registered file as a share. `blockDigests`: those of all blocks in order, 32 bytes each. */
export function sourceShare(file: string, source: Source, blockDigests: Buffer): Share {
  const { plan } = source;
  const [all, none] = [BitSet.full(plan.blocks), new BitSet(plan.blocks)];
  return {
    file,
    plan,
    heldChunks: () => (source.usable ? BitSet.full(plan.chunks) : new BitSet(plan.chunks)).toBytes(),
    heldBlocks: () => (source.usable ? all : none),
    lacks: (blocks) => (source.usable ? all : none).lacks(blocks),
    coming: () => [],
    blockDigests: (chunk) => {
      const { first, count } = blocksOfChunk(plan, chunk);
      return blockDigests.subarray(first * DIGEST_BYTES, (first + count) * DIGEST_BYTES);
    },
    read: (block, target, targetOffset, count) => source.read(block, target, targetOffset, count),
  };
}

/** A file that is being fetched as a share: each block that is there is served already. `coming` tells which are on their way. */
export function partShare(file: string, part: Part, coming: () => readonly BlockRange[] = () => []): Share {
  return {
    file,
    plan: part.plan,
    heldChunks: () => part.heldChunks(),
    heldBlocks: () => part.heldBlocks,
    lacks: (blocks) => part.heldBlocks.lacks(blocks),
    coming,
    blockDigests: (chunk) => part.blockDigests(chunk),
    read: (block, target, targetOffset, count) => part.read(block, target, targetOffset, count),
  };
}
