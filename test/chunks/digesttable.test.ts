import { expect } from 'chai';
import { DigestTable } from '../../src/chunks/digesttable.js';
import { bytesOf, MIB, sampleOf } from './support.js';

describe('chunks/digesttable', () => {
  const sample = sampleOf(bytesOf(5 * MIB + 3), 2);

  it('keeps the digests of chunks, and knows which', () => {
    const table = new DigestTable(sample.plan);
    expect(table.get(1)).to.equal(undefined);
    expect(table.isBlock(3, sample.block(3))).to.equal(false);
    table.set(1, sample.digests(1));
    expect([table.has(0), table.has(1), table.count]).to.deep.equal([false, true, 1]);
    expect(table.get(0)).to.equal(undefined);
    expect(table.get(1)).to.deep.equal(sample.digests(1));
    expect([...table.chunks.runs()]).to.deep.equal([{ first: 1, count: 1 }]);
    expect(table.isBlock(3, sample.block(3))).to.equal(true);
    expect(table.isBlock(4, sample.block(3))).to.equal(false);
    expect(table.isBlock(0, sample.block(0))).to.equal(false);
    table.set(0, sample.digests(0));
    expect(table.bytes).to.deep.equal(Buffer.concat([sample.digests(0), sample.digests(1)]));
    expect(table.of({ first: 2, count: 2 })).to.deep.equal(table.bytes.subarray(64, 128));
  });

  it('copies what it is given, and refuses another number of digests', () => {
    const table = new DigestTable(sample.plan);
    const given = sample.digests(0);
    table.set(0, given);
    given.fill(0);
    expect(table.get(0)).to.deep.equal(sample.digests(0));
    expect(() => table.set(1, given.subarray(1))).to.throw(RangeError);
    expect(() => table.set(2, given)).to.throw(RangeError);
    expect(table.has(1)).to.equal(false);
  });

  it('is of an empty file, too', () => {
    const empty = new DigestTable(sampleOf(Buffer.alloc(0), 1).plan);
    expect(empty.bytes).to.have.lengthOf(0);
    empty.set(0, Buffer.alloc(0));
    expect(empty.get(0)).to.have.lengthOf(0);
  });
});
