/** Which blocks of a file are held, counted by chunk and in bytes. */
import { BitSet } from './bits.js';
import { blockLength, blocksOfChunk, bytesOfBlocks, chunkOfBlock } from './plan.js';
import type { BlockRange, Plan } from './plan.js';

export class HeldBlocks {
  readonly plan: Plan;
  readonly #blocks: BitSet;
  /** Of each chunk: how many of its blocks are held. */
  readonly #ofChunk: Uint32Array;
  #bytes = 0;

  /** Takes `blocks` over. */
  constructor(plan: Plan, blocks: BitSet) {
    this.plan = plan;
    this.#blocks = blocks;
    this.#ofChunk = new Uint32Array(plan.chunks);
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

  hasRun({ first, count }: BlockRange): boolean {
    for (let block = first; block < first + count; block++) if (!this.#blocks.has(block)) return false;
    return true;
  }

  hasChunk(chunk: number): boolean {
    return this.#ofChunk[chunk] === blocksOfChunk(this.plan, chunk).count;
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
    this.#ofChunk[chunk] = (this.#ofChunk[chunk] ?? 0) - 1;
  }

  /** The chunks that are held whole, as the bitmap that travels. */
  chunks(): Buffer {
    const chunks = new BitSet(this.plan.chunks);
    for (let chunk = 0; chunk < this.plan.chunks; chunk++) if (this.hasChunk(chunk)) chunks.add(chunk);
    return chunks.toBytes();
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
    const end = run.first + run.count;
    for (let next = run.first; next < end;) {
      const chunk = chunkOfBlock(this.plan, next);
      const { first, count } = blocksOfChunk(this.plan, chunk);
      const inChunk = Math.min(end, first + count) - next;
      this.#ofChunk[chunk] = (this.#ofChunk[chunk] ?? 0) + inChunk;
      next += inChunk;
    }
  }
}
