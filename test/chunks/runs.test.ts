import { expect } from 'chai';
import fc from 'fast-check';
import { DigestTable } from '../../src/chunks/digesttable.js';
import { bytesOfBlocks, chunkOfBlock } from '../../src/chunks/plan.js';
import type { BlockRange } from '../../src/chunks/plan.js';
import { checkBlocks, lengthsOf } from '../../src/chunks/runs.js';
import { bytesOf, MIB, sampleOf } from './support.js';
import type { Sample } from './support.js';

/** A copy of the bytes of blocks, with a bit flipped in each of `flipped`. */
function bytesFor(sample: Sample, blocks: BlockRange, flipped: readonly number[] = []): Buffer {
  const { offset, length } = bytesOfBlocks(sample.plan, blocks);
  const bytes = Buffer.from(sample.bytes.subarray(offset, offset + length));
  for (const block of flipped) {
    const place = bytesOfBlocks(sample.plan, { first: block, count: 1 }).offset - offset;
    bytes.writeUInt8(bytes.readUInt8(place) ^ 4, place);
  }
  return bytes;
}

describe('chunks/runs', () => {
  const few = sampleOf(bytesOf(5 * MIB + 3), 2);
  const many = sampleOf(bytesOf(40_001, 3), 101);

  it('checks blocks of one chunk whose digests are known', () => {
    const table = new DigestTable(few.plan);
    const learnt: BlockRange[] = [];
    const check = (blocks: BlockRange, bytes: Buffer): number[] =>
      checkBlocks(few, table, blocks, bytes, (run) => learnt.push(run));
    const second = { first: 3, count: 3 };
    expect(() => check(second, bytesFor(few, second))).to.throw('not learnt');
    table.set(1, few.digests(1));
    expect(check(second, bytesFor(few, second))).to.deep.equal([]);
    expect(check(second, bytesFor(few, second, [3, 5]))).to.deep.equal([3, 5]);
    expect(check({ first: 4, count: 1 }, few.block(4))).to.deep.equal([]);
    expect(() => check({ first: 2, count: 2 }, bytesFor(few, { first: 2, count: 2 }))).to.throw(RangeError);
    expect(() => check(second, bytesFor(few, second).subarray(1))).to.throw(RangeError);
    expect(() => check({ first: 5, count: 2 }, few.block(5))).to.throw(RangeError);
    expect(learnt).to.deep.equal([]);
  });

  it('checks chunks of one block each by the manifest, and learns the digests of those that are right', () => {
    const any = fc.record({
      first: fc.nat(100),
      last: fc.nat(100),
      flipped: fc.array(fc.nat(100), { maxLength: 5 }),
      known: fc.array(fc.nat(100), { maxLength: 50 }),
    });
    fc.assert(
      fc.property(any, ({ first, last, flipped, known }) => {
        const blocks = { first: Math.min(first, last), count: Math.abs(last - first) + 1 };
        const inRun = (block: number): boolean => block >= blocks.first && block < blocks.first + blocks.count;
        const wrong = [...new Set(flipped)].filter(inRun).sort((a, b) => a - b);
        const table = new DigestTable(many.plan);
        for (const chunk of known) table.set(chunk, many.digests(chunk));
        const learnt = new Set<number>();
        const found = checkBlocks(many, table, blocks, bytesFor(many, blocks, wrong), (run) => {
          expect(run.count).to.be.above(0);
          for (let chunk = run.first; chunk < run.first + run.count; chunk++) {
            expect(learnt.has(chunk)).to.equal(false);
            learnt.add(chunk);
          }
        });
        expect(found).to.deep.equal(wrong);
        for (let chunk = 0; chunk < 101; chunk++) {
          const isNew = inRun(chunk) && !wrong.includes(chunk) && !known.includes(chunk);
          expect(learnt.has(chunk)).to.equal(isNew);
          expect(table.has(chunk)).to.equal(isNew || known.includes(chunk));
          if (table.has(chunk)) expect(table.get(chunk)).to.deep.equal(many.digests(chunk));
        }
      }),
    );
  });

  it('tells a run of them as one', () => {
    const table = new DigestTable(many.plan);
    const learnt: BlockRange[] = [];
    const blocks = { first: 10, count: 64 };
    expect(checkBlocks(many, table, blocks, bytesFor(many, blocks), (run) => learnt.push(run))).to.deep.equal([]);
    expect(learnt).to.deep.equal([blocks]);
  });

  it('takes no chunk of two blocks among chunks of one', () => {
    // Long chunks of two blocks, short ones of one.
    const mixed = sampleOf(bytesOf(3 * MIB + 1, 4), 3);
    expect([0, 1, 2, 3].map((block) => chunkOfBlock(mixed.plan, block))).to.deep.equal([0, 0, 1, 2]);
    const table = new DigestTable(mixed.plan);
    const run = { first: 1, count: 2 };
    expect(() => checkBlocks(mixed, table, run, bytesFor(mixed, run), () => undefined)).to.throw(RangeError);
    const alone = { first: 2, count: 2 };
    expect(checkBlocks(mixed, table, alone, bytesFor(mixed, alone), () => undefined)).to.deep.equal([]);
  });

  it('knows how long blocks are', () => {
    expect(lengthsOf(few.plan, { first: 2, count: 3 })).to.deep.equal([few.block(2).length, MIB, MIB]);
  });
});
