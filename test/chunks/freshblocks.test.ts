import { expect } from 'chai';
import { FRESH_MS, FreshBlocks } from '../../src/chunks/freshblocks.js';

describe('chunks/freshblocks', () => {
  let ms = 5;
  const fresh = (): FreshBlocks => new FreshBlocks(10, () => ms);

  it('are those that were written, as long as there is no pause', () => {
    const blocks = fresh();
    expect(blocks.others()).to.deep.equal([{ first: 0, count: 10 }]);
    blocks.add({ first: 2, count: 3 });
    ms += FRESH_MS;
    blocks.add({ first: 7, count: 3 });
    ms += FRESH_MS;
    expect(blocks.others()).to.deep.equal([
      { first: 0, count: 2 },
      { first: 5, count: 2 },
    ]);
    blocks.delete(3);
    expect(blocks.others()[1]).to.deep.equal({ first: 3, count: 1 });
    blocks.clear();
    expect(blocks.others()).to.deep.equal([{ first: 0, count: 10 }]);
  });

  it('are none after a pause, whether it is a write or the end that comes then', () => {
    const blocks = fresh();
    blocks.add({ first: 0, count: 5 });
    ms += FRESH_MS + 1;
    blocks.add({ first: 5, count: 5 });
    expect(blocks.others()).to.deep.equal([{ first: 0, count: 5 }]);
    ms += FRESH_MS + 1;
    expect(blocks.others()).to.deep.equal([{ first: 0, count: 10 }]);
  });
});
