/** The blocks that can be asked for, by how many holders have them: rarest first (Legout and others, "Rarest first and choke algorithms are enough", 2006). */
import { BitSet } from '../chunks/bits.js';
import type { BlockRange } from '../chunks/plan.js';

/** Holders from which on a block is as common as any. */
const COMMON = 8;

export class Rarity {
  /** How many holders have each block. */
  readonly #holders: Uint16Array;
  /** Free blocks with so many holders; the last one: or more. */
  readonly #free: readonly BitSet[];
  /** The sets of free blocks that some holder has; some are empty. */
  readonly rarestFirst: readonly BitSet[];

  /** `free`: the blocks that can be asked for. */
  constructor(free: BitSet) {
    this.#holders = new Uint16Array(free.size);
    this.#free = [free.copy(), ...Array.from({ length: COMMON }, () => new BitSet(free.size))];
    this.rarestFirst = this.#free.slice(1);
  }

  holdersOf(block: number): number {
    return this.#holders[block] ?? 0;
  }

  isFree(block: number): boolean {
    return this.#level(block).has(block);
  }

  /** The block can be asked for. */
  free(block: number): void {
    this.#level(block).add(block);
  }

  /** The block is asked for, or there. */
  take(block: number): void {
    this.#level(block).delete(block);
  }

  /** One holder more has these blocks, or one less. */
  count({ first, count }: BlockRange, by: 1 | -1): void {
    for (let block = first; block < first + count; block += 1) {
      const wasFree = this.#level(block).delete(block);
      this.#holders[block] = this.holdersOf(block) + by;
      if (wasFree) this.free(block);
    }
  }

  #level(block: number): BitSet {
    return this.#free[Math.min(COMMON, this.holdersOf(block))] as BitSet;
  }
}
