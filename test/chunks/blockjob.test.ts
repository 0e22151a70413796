import { expect } from 'chai';
import fc from 'fast-check';
import { checkBlockJob, goodSpans, joinResults, piecesOf } from '../../src/chunks/blockjob.js';
import type { BlockWork } from '../../src/chunks/blockjob.js';
import { BLOCK_BYTES } from '../../src/protocol/limits.js';
import { bytesOf, sampleOf } from './support.js';

describe('chunks/blockjob', () => {
  it('cuts a job into parts of at most a block, and nothing is lost', () => {
    const length = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: BLOCK_BYTES }));
    fc.assert(
      fc.property(fc.array(length, { maxLength: 30 }), fc.nat(1e9), (lengths, position) => {
        const expected = Buffer.from(lengths.flatMap((_, i) => Array<number>(32).fill(i)));
        const pieces = piecesOf({ fd: 3, position, lengths, expected, of: 'chunk' });
        let at = position;
        for (const piece of pieces) {
          expect(piece).to.include({ fd: 3, position: at, of: 'chunk' });
          const bytes = piece.lengths.reduce((sum, each) => sum + each, 0);
          expect(bytes).to.be.within(1, BLOCK_BYTES);
          at += bytes;
        }
        expect(pieces.flatMap((piece) => piece.lengths)).to.deep.equal(lengths);
        expect(Buffer.concat(pieces.map((piece) => piece.expected)).equals(expected)).to.equal(true);
      }),
    );
  });

  it('says of the parts together what it says of the whole', () => {
    const sample = sampleOf(bytesOf(2_500_000), 1);
    const expected = Buffer.from(sample.digests(0));
    expected.writeUInt8(expected.readUInt8(40) ^ 1, 40);
    const lengths = [BLOCK_BYTES, BLOCK_BYTES, 2_500_000 - 2 * BLOCK_BYTES];
    const work: BlockWork = { fd: -1, position: 0, lengths, expected, of: 'block' };
    const whole = checkBlockJob({ ...work, bytes: sample.bytes });
    const parts = piecesOf(work).map((piece) => {
      const { position } = piece;
      const bytes = piece.lengths.reduce((sum, each) => sum + each, 0);
      return checkBlockJob({ ...piece, bytes: sample.bytes.subarray(position, position + bytes) });
    });
    expect(parts.length).to.equal(3);
    expect(whole.good).to.deep.equal([true, false, true]);
    expect(joinResults(parts)).to.deep.equal(whole);
    expect(joinResults(parts.slice(0, 2)).good).to.deep.equal([true, false]);
    expect(joinResults([])).to.deep.equal({ good: [], digests: Buffer.alloc(0) });
    expect([...goodSpans(work, joinResults(parts))]).to.deep.equal([
      { begin: 0, end: BLOCK_BYTES },
      { begin: 2 * BLOCK_BYTES, end: 2_500_000 },
    ]);
  });
});
