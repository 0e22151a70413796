/** The digests of a file's blocks, as far as they are known: one piece of memory, however many chunks there are. */
import { BitSet } from './bits.js';
import { DIGEST_BYTES, digestsOf, hashInto, isDigestAt } from './digest.js';
import { blocksOfChunk, blocksOfChunks, chunkOfBlock } from './plan.js';
import type { BlockRange, Plan } from './plan.js';

/** What was found of the block that is being looked at. */
const found = Buffer.alloc(DIGEST_BYTES);
const NOTHING = Buffer.alloc(0);

/** 32 bytes a block, from the first digests on; what is not known yet takes no memory of its own in most systems. */
export class DigestTable {
  readonly plan: Plan;
  readonly #known: BitSet;
  #bytes = NOTHING;

  constructor(plan: Plan) {
    this.plan = plan;
    this.#known = new BitSet(plan.chunks);
  }

  /** Of how many chunks they are known. */
  get count(): number {
    return this.#known.count;
  }

  /** The chunks whose digests are known, for reading. */
  get chunks(): BitSet {
    return this.#known;
  }

  /** Those of all blocks in order, 32 bytes each; zeros where they are not known. Not a copy. */
  get bytes(): Buffer {
    if (this.#bytes.length === 0 && this.plan.blocks > 0) this.#bytes = Buffer.alloc(this.plan.blocks * DIGEST_BYTES);
    return this.#bytes;
  }

  has(chunk: number): boolean {
    return this.#known.has(chunk);
  }

  /** Those of a chunk's blocks, not a copy; undefined when they are not known. */
  get(chunk: number): Buffer | undefined {
    return this.#known.has(chunk) ? this.of(blocksOfChunk(this.plan, chunk)) : undefined;
  }

  /** Those of blocks that stand side by side, not a copy; zeros where they are not known. */
  of(blocks: BlockRange): Buffer {
    return digestsOf(this.bytes, blocks);
  }

  /** Copies those of blocks into `target` at `at`; returns how many bytes these are. */
  copyTo(target: Buffer, at: number, { first, count }: BlockRange): number {
    return this.bytes.copy(target, at, first * DIGEST_BYTES, (first + count) * DIGEST_BYTES);
  }

  /** Takes those of all blocks of a chunk, which were verified; copies them. @throws RangeError when they are not so many */
  set(chunk: number, digests: Uint8Array): void {
    this.setRun({ first: chunk, count: 1 }, digests);
  }

  /** The same of chunks that stand side by side. @throws RangeError when they are not so many */
  setRun(chunks: BlockRange, digests: Uint8Array): void {
    const { first, count } = blocksOfChunks(this.plan, chunks);
    if (digests.length !== count * DIGEST_BYTES) throw new RangeError(`${digests.length} bytes are not their digests`);
    this.bytes.set(digests, first * DIGEST_BYTES);
    this.#known.addRun(chunks);
  }

  /** Takes, of chunks of one block each that stand side by side, those digests that are not known yet. Returns which chunks these are, as runs. */
  learnAlone(chunks: BlockRange, digests: Buffer): readonly BlockRange[] {
    const fresh = [...this.#known.runs(false, chunks)];
    for (const run of fresh) this.setRun(run, digestsOf(digests, { ...run, first: run.first - chunks.first }));
    return fresh;
  }

  /** Whether `bytes` are those of a block whose digest is known. */
  isBlock(block: number, bytes: Buffer): boolean {
    if (!this.#known.has(chunkOfBlock(this.plan, block))) return false;
    hashInto(bytes, found);
    return isDigestAt(this.bytes, block, found);
  }
}
