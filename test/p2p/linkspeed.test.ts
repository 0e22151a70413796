import { expect } from 'chai';
import { AHEAD_MS, LEAST_REQUESTS, LinkSpeed, WINDOW_BYTES, WINDOW_REQUESTS } from '../../src/p2p/linkspeed.js';

const MIB = 1024 * 1024;

describe('p2p/linkspeed', () => {
  it('knows nothing before the first block', () => {
    const speed = new LinkSpeed();
    expect([speed.typicalMs, speed.rate, speed.windowBytes]).to.deep.equal([undefined, 0, 0]);
    expect(speed.windowRequests).to.equal(LEAST_REQUESTS);
  });

  it('measures the rate of what is asked ahead by the time between arrivals', () => {
    const speed = new LinkSpeed();
    // A round trip of 50 ms, a block each 10 ms, four asked ahead: each takes 80 ms.
    for (let i = 0; i < 50; i += 1) speed.note(MIB, i * 10, 80 + i * 10);
    expect(speed.typicalMs).to.equal(80);
    expect(speed.rate / (MIB / 10)).to.be.within(0.99, 1.01);
    expect(speed.windowBytes).to.equal(WINDOW_BYTES);
  });

  it('asks a link of 5 MB/s and 50 ms for its round trip and a little ahead', () => {
    const speed = new LinkSpeed();
    for (let i = 0; i < 50; i += 1) speed.note(MIB, i * 210, i * 210 + 260);
    const needed = (MIB / 210) * 50;
    expect(speed.windowBytes).to.be.within(needed, (MIB / 210) * (260 + AHEAD_MS) * 1.01);
  });

  it('believes after a while that a link became slower', () => {
    const speed = new LinkSpeed();
    for (let i = 0; i < 10; i += 1) speed.note(MIB, i * 10, i * 10 + 20);
    const fast = speed.windowBytes;
    for (let i = 0; i < 10; i += 1) speed.note(MIB, 1_000 + i * 500, 1_000 + (i + 1) * 500);
    expect(speed.windowBytes).to.be.lessThan(fast / 8);
  });

  it('opens one request more with each block, so far and no further', () => {
    const speed = new LinkSpeed();
    const open = Array.from({ length: 100 }, (_, i) => {
      speed.note(1_000, i, i + 1);
      return speed.windowRequests;
    });
    expect(open.slice(0, 3)).to.deep.equal([LEAST_REQUESTS + 1, LEAST_REQUESTS + 2, LEAST_REQUESTS + 3]);
    expect(open.at(-1)).to.equal(WINDOW_REQUESTS);
  });
});
