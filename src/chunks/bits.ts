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

  /** With all numbers below `size`. */
  static full(size: number): BitSet {
    const all = new BitSet(size);
    all.#bytes.fill(0xff);
    const spare = all.#bytes.length * 8 - size;
    if (spare > 0) all.#bytes.writeUInt8(0xff >> spare, all.#bytes.length - 1);
    all.#count = size;
    return all;
  }

  /** What a bitmap says of the numbers below `size`; what it does not reach is not in it. */
  static of(bitmap: Uint8Array, size: number): BitSet {
    const set = new BitSet(size);
    set.#bytes.set(bitmap.subarray(0, set.#bytes.length));
    const spare = set.#bytes.length * 8 - size;
    const last = set.#bytes.length - 1;
    if (spare > 0) set.#bytes.writeUInt8(set.#bytes.readUInt8(last) & (0xff >> spare), last);
    for (const byte of set.#bytes) set.#count += bitCount(byte);
    return set;
  }

  /** With these numbers. @throws RangeError when one is not below `size` */
  static from(numbers: Iterable<number>, size: number): BitSet {
    const set = new BitSet(size);
    for (const number of numbers) set.add(number);
    return set;
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

  /** The first number of a run that is not in the set; undefined when all are. */
  lacks({ first, count }: BlockRange): number | undefined {
    const index = this.#next(first, first + count, false);
    return index < first + count ? index : undefined;
  }

  hasRun(run: BlockRange): boolean {
    return this.lacks(run) === undefined;
  }

  /** Whether any number of a run is in the set. */
  hasAny({ first, count }: BlockRange): boolean {
    return this.#next(first, first + count, true) < first + count;
  }

  addRun(run: BlockRange): void {
    this.#setRun(run, true);
  }

  deleteRun(run: BlockRange): void {
    this.#setRun(run, false);
  }

  clear(): void {
    this.#bytes.fill(0);
    this.#count = 0;
  }

  /** Adds what is in `other`, which is of the same size. */
  addAll(other: BitSet): void {
    this.#combine(other, (mine, theirs) => mine | theirs);
  }

  /** Takes out what is in `other`, which is of the same size. */
  subtract(other: BitSet): void {
    this.#combine(other, (mine, theirs) => mine & ~theirs);
  }

  /** Takes out what is not in `other`, which is of the same size. */
  keep(other: BitSet): void {
    this.#combine(other, (mine, theirs) => mine & theirs);
  }

  copy(): BitSet {
    const copy = new BitSet(this.size);
    this.#bytes.copy(copy.#bytes);
    copy.#count = this.#count;
    return copy;
  }

  /** Of the same size. */
  equals(other: BitSet): boolean {
    return this.#count === other.#count && this.#bytes.equals(other.#bytes);
  }

  /**
   * The first number, from `from` on and then from 0 on, that is also in `other` and in none of `without`. All are of the same size;
   * `without` are two at most.
   */
  find(from: number, other: BitSet, ...without: BitSet[]): number | undefined {
    const [mine, theirs] = [this.#bytes, other.#bytes];
    const [left, right = left] = without.map((each) => each.#bytes);
    const begin = from < this.size ? from : 0;
    const start = Math.floor(begin / 8);
    // The first byte once more at the end, for the bits before `from`.
    for (let step = 0; step <= mine.length; step += 1) {
      const at = start + step < mine.length ? start + step : start + step - mine.length;
      let bits = (mine[at] ?? 0) & (theirs[at] ?? 0);
      if (bits === 0) continue;
      bits &= ~((left?.[at] ?? 0) | (right?.[at] ?? 0));
      if (step === 0) bits &= 0xff << (begin % 8);
      if (bits !== 0) return at * 8 + 31 - Math.clz32(bits & -bits);
    }
    return undefined;
  }

  /** A copy of the bitmap. */
  toBytes(): Buffer {
    return Buffer.from(this.#bytes);
  }

  /** The numbers in it, ascending. */
  numbers(): number[] {
    const numbers = new Array<number>(this.#count);
    let at = 0;
    for (const { first, count } of this.runs()) for (let i = first; i < first + count; i += 1) numbers[at++] = i;
    return numbers;
  }

  /** The numbers of `within` that are in the set (or with `present` false: are not), as runs in order. */
  *runs(present = true, within: BlockRange = { first: 0, count: this.size }): Generator<BlockRange, void, void> {
    const end = within.first + within.count;
    let first = within.first;
    while (first < end) {
      first = this.#next(first, end, present);
      if (first >= end) return;
      const next = this.#next(first + 1, end, !present);
      yield { first, count: next - first };
      first = next + 1;
    }
  }

  /** The numbers that are in the set and not in `other`, as runs in order. */
  *runsWithout(other: BitSet): Generator<BlockRange, void, void> {
    let next = 0;
    while (next < this.size) {
      const first = this.#findWithout(next, other);
      if (first === undefined) return;
      next = first + 1;
      while (next < this.size && this.has(next) && !other.has(next)) next += 1;
      yield { first, count: next - first };
    }
  }

  /** The first number from `from` on that is in the set, or is not; `end` when there is none before. */
  #next(from: number, end: number, present: boolean): number {
    const flip = present ? 0 : 0xff;
    let mask = 0xff << (from % 8);
    for (let at = Math.floor(from / 8); at * 8 < end; at += 1) {
      const bits = ((this.#bytes[at] ?? 0) ^ flip) & mask & 0xff;
      if (bits !== 0) return Math.min(end, at * 8 + 31 - Math.clz32(bits & -bits));
      mask = 0xff;
    }
    return end;
  }

  #findWithout(from: number, other: BitSet): number | undefined {
    for (let at = Math.floor(from / 8); at < this.#bytes.length; at += 1) {
      let bits = (this.#bytes[at] ?? 0) & ~(other.#bytes[at] ?? 0);
      if (at * 8 < from) bits &= 0xff << (from % 8);
      if (bits !== 0) return at * 8 + 31 - Math.clz32(bits & -bits);
    }
    return undefined;
  }

  #combine(other: BitSet, combined: (mine: number, theirs: number) => number): void {
    this.#count = 0;
    for (const [at, theirs] of other.#bytes.entries()) {
      const byte = combined(this.#bytes[at] ?? 0, theirs);
      this.#bytes[at] = byte;
      this.#count += bitCount(byte);
    }
  }

  #setRun({ first, count }: BlockRange, present: boolean): void {
    const end = first + count;
    if (count > 0) this.#expectIn(first);
    if (count > 0) this.#expectIn(end - 1);
    for (let at = Math.floor(first / 8); at * 8 < end; at += 1) {
      const from = Math.max(first - at * 8, 0);
      const bits = (0xff << from) & (0xff >> Math.max(at * 8 + 8 - end, 0));
      const before = this.#bytes[at] ?? 0;
      const after = present ? before | bits : before & ~bits;
      this.#bytes[at] = after;
      this.#count += bitCount(after) - bitCount(before);
    }
  }

  #flip(index: number): void {
    this.#expectIn(index);
    const at = Math.floor(index / 8);
    this.#bytes[at] = (this.#bytes[at] ?? 0) ^ (1 << (index % 8));
  }

  #expectIn(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.size) throw new RangeError(`${index} is not in the set`);
  }
}

/** How many of 8 bits are set. */
function bitCount(bits: number): number {
  let rest = bits & 0xff;
  let count = 0;
  for (; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}

/** Runs in any order, as those in order that do not touch. */
export function mergeRuns(runs: Iterable<BlockRange>): BlockRange[] {
  const merged: { first: number; count: number }[] = [];
  for (const { first, count } of [...runs].sort((a, b) => a.first - b.first)) {
    const last = merged.at(-1);
    if (last === undefined || last.first + last.count < first) merged.push({ first, count });
    else last.count = Math.max(last.count, first + count - last.first);
  }
  return merged;
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

/** The numbers of a run, each asked for once and in order: those that are right as runs, and the others. */
export function splitRun(
  { first, count }: BlockRange,
  isRight: (number: number) => boolean,
): { readonly right: readonly BlockRange[]; readonly wrong: number[] } {
  const right: BlockRange[] = [];
  const wrong: number[] = [];
  let begin = first;
  for (let number = first; number <= first + count; number += 1) {
    const isInside = number < first + count;
    if (isInside && isRight(number)) continue;
    if (number > begin) right.push({ first: begin, count: number - begin });
    if (isInside) wrong.push(number);
    begin = number + 1;
  }
  return { right, wrong };
}
