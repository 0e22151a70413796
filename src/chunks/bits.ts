/** A set of the numbers 0 to size - 1, kept as the bitmap that travels: number i is bit i & 7 of byte i >> 3. */
import type { BlockRange } from './plan.js';

export class BitSet {
  readonly size: number;
  readonly #bytes: Buffer;
  #count = 0;

  constructor(size: number) {
    this.size = size;
    this.#bytes = Buffer.alloc(Math.ceil(size / 8));
  }

  /** How many numbers are in it. */
  get count(): number {
    return this.#count;
  }

  has(index: number): boolean {
    return ((this.#bytes[Math.floor(index / 8)] ?? 0) & (1 << (index % 8))) !== 0;
  }

  /** Returns whether the number is new. */
  add(index: number): boolean {
    if (this.has(index)) return false;
    this.#flip(index);
    this.#count += 1;
    return true;
  }

  /** Returns whether the number was there. */
  delete(index: number): boolean {
    if (!this.has(index)) return false;
    this.#flip(index);
    this.#count -= 1;
    return true;
  }

  /** A copy of the bitmap. */
  toBytes(): Buffer {
    return Buffer.from(this.#bytes);
  }

  /** The numbers of `within` that are in the set (or with `present` false: are not), as runs in order. */
  *runs(present = true, within: BlockRange = { first: 0, count: this.size }): Generator<BlockRange, void, void> {
    const end = within.first + within.count;
    let first = within.first;
    while (first < end) {
      let next = first;
      while (next < end && this.has(next) === present) next += 1;
      if (next > first) yield { first, count: next - first };
      first = next + 1;
    }
  }

  #flip(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.size) throw new RangeError(`${index} is not in the set`);
    const at = Math.floor(index / 8);
    this.#bytes[at] = (this.#bytes[at] ?? 0) ^ (1 << (index % 8));
  }
}

/** Numbers in any order as runs in order. */
export function runsOf(numbers: readonly number[]): BlockRange[] {
  const runs: { first: number; count: number }[] = [];
  for (const number of [...new Set(numbers)].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === number) last.count += 1;
    else runs.push({ first: number, count: 1 });
  }
  return runs;
}
