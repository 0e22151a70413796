import { expect } from 'chai';
import { Arrivals } from '../../src/p2p/arrivals.js';
import { FakeClock } from '../support/fakeclock.js';

describe('p2p/arrivals', () => {
  let clock: FakeClock;
  let arrivals: Arrivals;
  let linkBytes: number;
  beforeEach(() => {
    clock = new FakeClock();
    arrivals = new Arrivals(clock);
    linkBytes = 0;
  });

  /** Looks every 200 ms for so long, while so many bytes a second come. */
  async function look(ms: number, isAwaited: boolean, bytesPerSecond: number): Promise<void> {
    for (let at = 0; at < ms; at += 200) {
      await clock.advance(200);
      linkBytes += bytesPerSecond / 5;
      arrivals.note(isAwaited, linkBytes);
    }
  }

  it('counts from when something is waited for, not from before', async () => {
    await look(60_000, false, 0);
    expect(arrivals.waitingMs).to.equal(0);
    await look(3_000, true, 0);
    expect([arrivals.waitingMs, arrivals.rate]).to.deep.equal([3_000, 0]);
    await look(200, false, 0);
    expect([arrivals.waitingMs, arrivals.rate]).to.deep.equal([0, undefined]);
  });

  it('measures what came in the last second that it was waited for', async () => {
    await look(60_000, false, 0);
    await look(800, true, 100_000);
    expect(arrivals.rate).to.equal(undefined);
    await look(200, true, 100_000);
    expect(arrivals.rate).to.be.within(80_000, 120_000);
    await look(60_000, true, 100_000);
    expect(arrivals.rate).to.be.within(80_000, 120_000);
    await look(1_400, true, 0);
    expect([arrivals.waitingMs, arrivals.rate]).to.deep.equal([62_400, 0]);
  });

  it('begins anew with a new link', async () => {
    await look(1_000, true, 100_000);
    arrivals.note(false, 0);
    linkBytes = 0;
    await look(1_000, true, 10_000);
    expect(arrivals.waitingMs).to.equal(1_000);
    expect(arrivals.rate).to.be.within(8_000, 12_000);
  });
});
