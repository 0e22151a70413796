import { expect } from 'chai';
import fc from 'fast-check';
import {
  blockLength,
  blockNumber,
  blockPlace,
  blocksOfChunk,
  blocksOfChunks,
  chunkOfBlock,
  bytesOfChunks,
  chunkRange,
  planChunks,
  runEnd,
  spansOf,
} from '../../src/chunks/plan.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { BLOCK_BYTES, MAX_CHUNKS, MAX_FILE_BYTES } from '../../src/protocol/limits.js';
import { maxChunks } from '../../src/protocol/values.js';

const MIB = 1024 * 1024;

/** Sizes small, around whole blocks, and large; chunk counts that such a file can have. */
const sizeAndChunks = (maxSize: number): fc.Arbitrary<[number, number]> =>
  fc
    .oneof(
      fc.integer({ min: 0, max: 100 }),
      fc
        .tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: -3, max: 3 }))
        .map(([n, d]) => Math.max(0, n * MIB + d)),
      fc.integer({ min: 0, max: maxSize }),
    )
    .chain((size) => fc.tuple(fc.constant(size), fc.integer({ min: 1, max: Math.min(maxChunks(size), 400) })));

const codeOf = (act: () => unknown): string | undefined => {
  try {
    act();
  } catch (error) {
    return error instanceof ParleyError ? error.code : String(error);
  }
  return undefined;
};

describe('chunks/plan', () => {
  it('gives the first S mod N chunks one byte more', () => {
    const plan = planChunks(11, 4);
    expect([0, 1, 2, 3].map((i) => chunkRange(plan, i))).to.deep.equal([
      { offset: 0, length: 3 },
      { offset: 3, length: 3 },
      { offset: 6, length: 3 },
      { offset: 9, length: 2 },
    ]);
  });

  it('gives an empty file one empty chunk without blocks', () => {
    const plan = planChunks(0, 1);
    expect(plan.blocks).to.equal(0);
    expect(chunkRange(plan, 0)).to.deep.equal({ offset: 0, length: 0 });
    expect(blocksOfChunk(plan, 0)).to.deep.equal({ first: 0, count: 0 });
    expect([...spansOf(plan)]).to.deep.equal([]);
  });

  it('cuts a chunk into blocks of 1 MiB, the last one shorter', () => {
    const plan = planChunks(5 * MIB + 1, 2);
    expect(plan.blocks).to.equal(6);
    expect(blocksOfChunk(plan, 1)).to.deep.equal({ first: 3, count: 3 });
    expect(blockPlace(plan, 2)).to.deep.equal({
      block: 2,
      chunk: 0,
      indexInChunk: 2,
      offset: 2 * MIB,
      length: MIB / 2 + 1,
    });
    expect(blockPlace(plan, 3)).to.deep.equal({
      block: 3,
      chunk: 1,
      indexInChunk: 0,
      offset: 2.5 * MIB + 1,
      length: MIB,
    });
  });

  it('joins chunks and blocks without gap or overlap, and finds them both ways', () => {
    fc.assert(
      fc.property(sizeAndChunks(50 * MIB), ([size, chunks]) => {
        const plan = planChunks(size, chunks);
        let offset = 0;
        let block = 0;
        for (let chunk = 0; chunk < chunks; chunk++) {
          const range = chunkRange(plan, chunk);
          const blocks = blocksOfChunk(plan, chunk);
          expect(range.offset).to.equal(offset);
          expect(range.length - Math.floor(size / chunks)).to.equal(chunk < size % chunks ? 1 : 0);
          expect(blocks.first).to.equal(block);
          for (let indexInChunk = 0; indexInChunk < blocks.count; indexInChunk++) {
            const place = blockPlace(plan, block);
            expect(place).to.deep.include({ block, chunk, indexInChunk, offset });
            expect(place.length).to.be.within(1, BLOCK_BYTES);
            expect(chunkOfBlock(plan, block)).to.equal(chunk);
            expect(blockNumber(plan, chunk, indexInChunk)).to.equal(block);
            if (indexInChunk < blocks.count - 1) expect(place.length).to.equal(BLOCK_BYTES);
            offset += place.length;
            block += 1;
          }
          expect(range.offset + range.length).to.equal(offset);
          expect(bytesOfChunks(plan, { first: 0, count: chunk + 1 })).to.deep.equal({ offset: 0, length: offset });
          expect(bytesOfChunks(plan, { first: chunk, count: 1 })).to.deep.equal(range);
        }
        expect(offset).to.equal(size);
        expect(block).to.equal(plan.blocks);
      }),
      { numRuns: 60 },
    );
  });

  it('reads every byte once in spans of whole blocks of at most 1 MiB', () => {
    fc.assert(
      fc.property(sizeAndChunks(20 * MIB), fc.nat(), fc.nat(), ([size, chunks], a, b) => {
        const plan = planChunks(size, chunks);
        const first = a % (plan.blocks + 1);
        const count = b % (plan.blocks - first + 1);
        let next = first;
        for (const span of spansOf(plan, { first, count })) {
          const last = blockPlace(plan, span.blocks.first + span.blocks.count - 1);
          expect(span.blocks.first).to.equal(next);
          expect(span.offset).to.equal(blockPlace(plan, next).offset);
          expect(span.offset + span.length).to.equal(last.offset + last.length);
          expect(span.length).to.be.at.most(BLOCK_BYTES);
          next += span.blocks.count;
        }
        expect(next).to.equal(first + count);
      }),
      { numRuns: 100 },
    );
  });

  it('answers at once for the largest files', () => {
    for (const size of [100e9, MAX_FILE_BYTES]) {
      const plan = planChunks(size, MAX_CHUNKS);
      const last = chunkRange(plan, MAX_CHUNKS - 1);
      expect(last.offset + last.length).to.equal(size);
      const block = blockPlace(plan, plan.blocks - 1);
      expect(block.offset + block.length).to.equal(size);
      expect(block.chunk).to.equal(MAX_CHUNKS - 1);
    }
  });

  it('refuses what is no cut of a file', () => {
    expect(codeOf(() => planChunks(10, 0))).to.equal('BAD_CHUNK_COUNT');
    expect(codeOf(() => planChunks(10, 11))).to.equal('BAD_CHUNK_COUNT');
    expect(codeOf(() => planChunks(0, 2))).to.equal('BAD_CHUNK_COUNT');
    expect(codeOf(() => planChunks(10, 1.5))).to.equal('BAD_CHUNK_COUNT');
    expect(codeOf(() => planChunks(MAX_FILE_BYTES, MAX_CHUNKS + 1))).to.equal('BAD_CHUNK_COUNT');
    for (const size of [-1, 0.5, NaN, Infinity]) expect(codeOf(() => planChunks(size, 1))).to.equal('BAD_REQUEST');
    const plan = planChunks(10, 2);
    for (const index of [-1, 2, 0.5, NaN]) {
      expect(() => chunkRange(plan, index)).to.throw(RangeError);
      expect(() => blocksOfChunk(plan, index)).to.throw(RangeError);
      expect(() => blockPlace(plan, index)).to.throw(RangeError);
      expect(() => blockNumber(plan, 0, index)).to.throw(RangeError);
    }
  });

  it('tells the length of a block as its place does, and the blocks of a run of chunks', () => {
    fc.assert(
      fc.property(sizeAndChunks(MAX_FILE_BYTES), fc.nat(), fc.nat(), ([size, chunks], a, b) => {
        const plan = planChunks(size, chunks);
        for (const block of plan.blocks === 0 ? [] : [0, a % plan.blocks, plan.blocks - 1]) {
          expect(blockLength(plan, block)).to.equal(blockPlace(plan, block).length);
        }
        const [first, last] = [a % chunks, b % chunks].sort((x, y) => x - y) as [number, number];
        const ofAll = Array.from({ length: last - first + 1 }, (_, i) => blocksOfChunk(plan, first + i));
        expect(blocksOfChunks(plan, { first, count: last - first + 1 })).to.deep.equal({
          first: ofAll[0]?.first,
          count: ofAll.reduce((sum, { count }) => sum + count, 0),
        });
      }),
    );
    expect(() => blockLength(planChunks(10, 1), 1)).to.throw(RangeError);
    expect(() => blockLength(planChunks(0, 1), 0)).to.throw(RangeError);
  });

  it('ends a run with its chunk, or goes on with chunks that are one block, too', () => {
    fc.assert(
      fc.property(sizeAndChunks(300 * MIB), fc.nat(), ([size, chunks], at) => {
        const plan = planChunks(size, chunks);
        if (plan.blocks === 0) return;
        const block = at % plan.blocks;
        const end = runEnd(plan, block);
        const [first, last] = [chunkOfBlock(plan, block), chunkOfBlock(plan, end - 1)];
        const counts = Array.from({ length: last - first + 1 }, (_, i) => blocksOfChunk(plan, first + i).count);
        expect(counts.length === 1 || counts.every((count) => count === 1)).to.equal(true);
        if (end === plan.blocks) return;
        // The block behind it is of another chunk, and one of both has several.
        expect(chunkOfBlock(plan, end)).to.equal(last + 1);
        expect(blocksOfChunk(plan, last).count).to.be.greaterThan(1);
      }),
    );
    expect(runEnd(planChunks(10 * MIB, 2), 3)).to.equal(5);
    expect(runEnd(planChunks(10 * MIB, 10), 3)).to.equal(10);
    // The first chunk has a byte more, and so a block.
    expect([0, 1, 2].map((block) => runEnd(planChunks(2 * MIB + 1, 2), block))).to.deep.equal([2, 2, 3]);
  });
});
