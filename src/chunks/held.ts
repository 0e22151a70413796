/** Which blocks of a file are held, counted by chunk and in bytes. */
import { BitSet } from './bits.js';
import { blockLength, blocksOfChunk, bytesOfBlocks, chunkOfBlock } from './plan.js';
import type { BlockRange, Plan } from './plan.js';

export class HeldBlocks {
  readonly plan: Plan;
  readonly #blocks: BitSet;
  /** The chunks that are held whole. */
  readonly #whole: BitSet;
  /** Of each chunk: how many of its blocks are held; nothing where each is one block. */
  readonly #ofChunk: Uint32Array;
  #bytes = 0;

  /** Takes `blocks` over. */
  constructor(plan: Plan, blocks: BitSet) {
    this.plan = plan;
    this.#blocks = blocks;
    const isOneEach = plan.blocks === plan.chunks;
    this.#whole = isOneEach ? blocks : new BitSet(plan.chunks);
    // The chunk of an empty file has all its blocks.
    if (plan.blocks === 0) this.#whole.add(0);
    this.#ofChunk = new Uint32Array(isOneEach ? 0 : plan.chunks);
    for (const run of blocks.runs()) this.#count(run);
  }

  /** As a set, for reading. */
  get blocks(): BitSet {
    return this.#blocks;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How many blocks are held. */
  get count(): number {
    return this.#blocks.count;
  }

  get complete(): boolean {
    return this.#blocks.count === this.plan.blocks;
  }

  has(block: number): boolean {
    return this.#blocks.has(block);
  }

  hasRun(run: BlockRange): boolean {
    return this.#blocks.hasRun(run);
  }

  hasChunk(chunk: number): boolean {
    return this.#whole.has(chunk);
  }

  /** Returns those that are new, as runs in order. */
  addRun(blocks: BlockRange): BlockRange[] {
    const added = [...this.#blocks.runs(false, blocks)];
    for (const run of added) {
      this.#blocks.addRun(run);
      this.#count(run);
    }
    return added;
  }

  delete(block: number): void {
    if (!this.#blocks.delete(block)) return;
    const chunk = chunkOfBlock(this.plan, block);
    this.#bytes -= blockLength(this.plan, block);
    if (this.#ofChunk.length === 0) return;
    this.#whole.delete(chunk);
    this.#ofChunk[chunk] = (this.#ofChunk[chunk] ?? 0) - 1;
  }

  /** The chunks that are held whole, as the bitmap that travels. */
  chunks(): Buffer {
    return this.#whole.toBytes();
  }

  /** The blocks of a chunk, or of the file, that are not held, in order. */
  missing(chunk?: number): number[] {
    const { first, count } =
      chunk === undefined ? { first: 0, count: this.plan.blocks } : blocksOfChunk(this.plan, chunk);
    const missing: number[] = [];
    for (let block = first; block < first + count; block++) if (!this.#blocks.has(block)) missing.push(block);
    return missing;
  }

  #count(run: BlockRange): void {
    this.#bytes += bytesOfBlocks(this.plan, run).length;
    if (this.#ofChunk.length === 0) return;
    const end = run.first + run.count;
    for (let next = run.first; next < end;) {
      const chunk = chunkOfBlock(this.plan, next);
      const { first, count } = blocksOfChunk(this.plan, chunk);
      const inChunk = Math.min(end, first + count) - next;
      const held = (this.#ofChunk[chunk] ?? 0) + inChunk;
      this.#ofChunk[chunk] = held;
      if (held === count) this.#whole.add(chunk);
      next += inChunk;
    }
  }
}
