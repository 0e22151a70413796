/** A download over a slow and lossy network between real agents; `npm run wan` measures how near to the caps it comes. */
import { expect } from 'chai';
import { reach } from '../../bench/wan.js';

describe('a download over relays with 50 ms and 1 % loss', function () {
  this.timeout(60_000);

  it('comes from all holders at once, whole, and no faster than their caps', async () => {
    const options = { holders: 3, bytesPerSecond: 2e6, roundTripMs: 50, loss: 0.01, seed: 7 };
    // Throws when a byte is wrong.
    const { share, sources } = await reach('relay', options, 8);
    expect(sources.map(({ user }) => user).sort()).to.deep.equal(['holder0', 'holder1', 'holder2']);
    expect(sources.reduce((sum, { bytes }) => sum + bytes, 0)).to.equal(8 * 1024 * 1024);
    // What is in the buffers between the relay and the agents when the last byte is there is little.
    expect(share).to.be.below(1.1);
    expect(share, 'even on a machine that is busy with all else').to.be.above(0.1);
  });
});
