import { expect } from 'chai';
import fc from 'fast-check';
import { BitSet, mergeRuns, runsOf, splitRun } from '../../src/chunks/bits.js';

const numbersOf = (runs: Iterable<{ first: number; count: number }>): number[] =>
  [...runs].flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));

describe('chunks/bits', () => {
  it('is the bitmap that travels: least significant bit first', () => {
    const bits = new BitSet(10);
    for (const number of [0, 3, 9]) bits.add(number);
    expect(bits.toBytes()).to.deep.equal(Buffer.from([0b1001, 0b10]));
  });

  it('behaves as a set of numbers', () => {
    const step = fc.record({ add: fc.boolean(), number: fc.nat(29) });
    fc.assert(
      fc.property(fc.array(step), fc.nat(30), fc.nat(30), (steps, a, b) => {
        const bits = new BitSet(30);
        const model = new Set<number>();
        for (const { add, number } of steps) {
          if (add) {
            expect(bits.add(number)).to.equal(!model.has(number));
            model.add(number);
          } else expect(bits.delete(number)).to.equal(model.delete(number));
        }
        const all = Array.from({ length: 30 }, (_, i) => i);
        const [first, end] = [Math.min(a, b), Math.max(a, b)];
        const within = { first, count: end - first };
        expect(bits.count).to.equal(model.size);
        expect(all.filter((i) => bits.has(i))).to.deep.equal(all.filter((i) => model.has(i)));
        expect(numbersOf(bits.runs())).to.deep.equal(all.filter((i) => model.has(i)));
        const without = all.slice(first, end).filter((i) => !model.has(i));
        expect(numbersOf(bits.runs(false, within))).to.deep.equal(without);
      }),
    );
  });

  it('takes runs as it takes their numbers', () => {
    const run = fc.tuple(fc.nat(45), fc.nat(45)).map(([a, b]) => ({ first: Math.min(a, b), count: Math.abs(a - b) }));
    fc.assert(
      fc.property(fc.array(run, { maxLength: 4 }), run, (runs, other) => {
        const [bits, model] = [new BitSet(45), new BitSet(45)];
        for (const each of runs) {
          bits.addRun(each);
          for (const number of numbersOf([each])) model.add(number);
        }
        expect(bits.equals(model)).to.equal(true);
        expect(bits.count).to.equal(model.count);
        const filled = runs.filter(({ count }) => count > 0);
        expect(mergeRuns(filled)).to.deep.equal([...model.runs()]);
        expect(bits.lacks(other)).to.equal(numbersOf([other]).find((number) => !model.has(number)));
        expect(bits.hasRun(other)).to.equal(numbersOf([other]).every((number) => model.has(number)));
        expect(bits.hasAny(other)).to.equal(numbersOf([other]).some((number) => model.has(number)));
        bits.deleteRun(other);
        for (const number of numbersOf([other])) model.delete(number);
        expect(bits.equals(model)).to.equal(true);
      }),
    );
    for (const beyond of [
      { first: 44, count: 2 },
      { first: -1, count: 2 },
      { first: 0.5, count: 1 },
    ]) {
      expect(() => new BitSet(45).addRun(beyond)).to.throw(RangeError);
    }
  });

  it('holds nothing beyond its size', () => {
    const bits = new BitSet(3);
    expect(() => bits.add(3)).to.throw(RangeError);
    expect(() => bits.add(-1)).to.throw(RangeError);
    expect(bits.has(3)).to.equal(false);
    expect([...new BitSet(0).runs(false)]).to.deep.equal([]);
  });

  it('makes the fewest runs of numbers in any order', () => {
    expect(runsOf([7, 2, 1, 3, 2, 9, 8])).to.deep.equal([
      { first: 1, count: 3 },
      { first: 7, count: 3 },
    ]);
    expect(runsOf([])).to.deep.equal([]);
  });

  it('finds, compares and subtracts as sets do', () => {
    const size = 29;
    const numbers = fc.uniqueArray(fc.nat(size - 1));
    const setOf = (members: readonly number[]): BitSet => {
      const set = new BitSet(size);
      for (const member of members) set.add(member);
      return set;
    };
    fc.assert(
      fc.property(numbers, numbers, numbers, numbers, fc.nat(size + 3), (a, b, c, d, from) => {
        const [mine, other, left, right] = [a, b, c, d].map(setOf) as [BitSet, BitSet, BitSet, BitSet];
        const begin = from < size ? from : 0;
        const inOrder = Array.from({ length: size }, (_, i) => (begin + i) % size);
        const found = (without: readonly number[]): number | undefined =>
          inOrder.find((each) => a.includes(each) && b.includes(each) && !without.includes(each));
        expect(mine.find(from, other)).to.equal(found([]));
        expect(mine.find(from, other, left)).to.equal(found(c));
        expect(mine.find(from, other, left, right)).to.equal(found([...c, ...d]));
        const rest = a.filter((each) => !b.includes(each)).sort((x, y) => x - y);
        expect(numbersOf(mine.runsWithout(other))).to.deep.equal(rest);
        expect(mine.equals(other)).to.equal(a.length === b.length && rest.length === 0);
        const copy = mine.copy();
        copy.subtract(other);
        expect([copy.count, numbersOf(copy.runs())]).to.deep.equal([rest.length, rest]);
        const both = mine.copy();
        both.keep(other);
        expect([both.count, both.numbers()]).to.deep.equal([
          a.length - rest.length,
          a.filter((each) => b.includes(each)).sort((x, y) => x - y),
        ]);
        const either = mine.copy();
        either.addAll(other);
        expect([either.count, either.numbers()]).to.deep.equal([
          rest.length + b.length,
          [...rest, ...b].sort((x, y) => x - y),
        ]);
        expect(numbersOf(mine.runs())).to.deep.equal([...a].sort((x, y) => x - y));
        expect(mine.equals(BitSet.from(a, size))).to.equal(true);
      }),
    );
    expect(numbersOf(BitSet.full(size).runs())).to.have.length(size);
    expect(BitSet.full(size).toBytes()).to.deep.equal(Buffer.from([0xff, 0xff, 0xff, 0x1f]));
  });

  it('finds the first of a run that is not there', () => {
    const set = new BitSet(40);
    set.addRun({ first: 3, count: 20 });
    expect(set.lacks({ first: 3, count: 20 })).to.equal(undefined);
    expect(set.lacks({ first: 2, count: 5 })).to.equal(2);
    expect(set.lacks({ first: 20, count: 9 })).to.equal(23);
    expect(set.lacks({ first: 39, count: 2 })).to.equal(39);
    expect(BitSet.full(40).lacks({ first: 39, count: 2 })).to.equal(40);
  });

  it('splits a run by what each number is, asked once and in order', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.array(fc.boolean(), { maxLength: 40 }), (first, rights) => {
        const asked: number[] = [];
        const { right, wrong } = splitRun({ first, count: rights.length }, (number) => {
          asked.push(number);
          return rights[number - first] === true;
        });
        const numbers = rights.map((_, i) => first + i);
        expect(asked).to.deep.equal(numbers);
        expect(wrong).to.deep.equal(numbers.filter((_, i) => rights[i] !== true));
        expect(right).to.deep.equal(runsOf(numbers.filter((_, i) => rights[i] === true)));
      }),
    );
  });
});
