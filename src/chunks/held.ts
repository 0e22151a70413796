/** Which blocks of a file are held, counted by chunk and in bytes. */
import { BitSet } from './bits.js';
import { blockPlace, blocksOfChunk } from './plan.js';
import type { Plan } from './plan.js';

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
    for (const { first, count } of blocks.runs()) {
      for (let block = first; block < first + count; block++) this.#count(block, 1);
    }
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

  hasChunk(chunk: number): boolean {
    return this.#ofChunk[chunk] === blocksOfChunk(this.plan, chunk).count;
  }

  /** Returns whether the block is new. */
  add(block: number): boolean {
    const isNew = this.#blocks.add(block);
    if (isNew) this.#count(block, 1);
    return isNew;
  }

  delete(block: number): void {
    if (this.#blocks.delete(block)) this.#count(block, -1);
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

  #count(block: number, by: 1 | -1): void {
    const { chunk, length } = blockPlace(this.plan, block);
    this.#bytes += by * length;
    this.#ofChunk[chunk] = (this.#ofChunk[chunk] ?? 0) + by;
  }
}
