/** Pickers for tests: repeatable chance, and blocks that come. */
import { Picker } from '../../src/p2p/picker.js';
import type { PickerOptions } from '../../src/p2p/picker.js';
import type { BlockRange } from '../../src/chunks/plan.js';
import { BitSet, runsOf } from '../../src/chunks/bits.js';

export const MIB = 1024 * 1024;

/** A repeatable source of random numbers (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Blocks 0 to n - 1, or the ones named. */
export const upTo = (n: number): BlockRange[] => [{ first: 0, count: n }];
export const only = (...blocks: number[]): BlockRange[] => runsOf(blocks);

/** The blocks named, of so many. */
export function wanted(blocks: number, ...named: number[]): BitSet {
  const set = new BitSet(blocks);
  for (const block of named) set.add(block);
  return set;
}

/** For runs of one block: nothing is asked for with another. */
export const oneByOne = { runEnd: (block: number): number => block + 1 };

export function makePicker(blocks: number, options: Partial<PickerOptions> = {}): Picker {
  return new Picker({
    blocks,
    wanted: BitSet.full(blocks),
    bytesOf: () => MIB,
    roomBytes: 64 * MIB,
    random: seeded(1),
    ...options,
  });
}

/** The first block of what is to be asked for next. */
export function next(picker: Picker, id: string, now: number): number | undefined {
  return picker.next(id, now)?.first;
}

/** A run, known by its first block, that came and was written; who else was asked for it. */
export function land(picker: Picker, id: string, first: number, now: number): readonly string[] | undefined {
  const run = picker.flyingFrom(id).find((each) => each.first === first) ?? { first, count: 1 };
  picker.received(id, first, now);
  return picker.arrived(id, run)?.alsoAsked;
}

/** Gets one run through, so that the holder has shown that it can; its first block. */
export function prove(picker: Picker, id: string, ms = 10, now = 0): number {
  const block = next(picker, id, now);
  if (block === undefined) throw new Error('nothing to ask for');
  land(picker, id, block, now + ms);
  return block;
}

/** Asks until the window is full; the first block of each run. */
export function fill(picker: Picker, id: string, now = 0): number[] {
  return fillRuns(picker, id, now).map(({ first }) => first);
}

export function fillRuns(picker: Picker, id: string, now = 0): BlockRange[] {
  const asked: BlockRange[] = [];
  for (let run = picker.next(id, now); run !== undefined; run = picker.next(id, now)) asked.push(run);
  return asked;
}
