import { expect } from 'chai';
import { Handshakes } from '../../src/server/handshakes.js';
import { HANDSHAKE_MS, MAX_HANDSHAKES } from '../../src/server/limits.js';
import { FakeClock } from '../support/fakeclock.js';

describe('handshakes', () => {
  let clock: FakeClock;
  let begun: number[];
  let over: (() => void)[];
  beforeEach(() => {
    clock = new FakeClock();
    begun = [];
    const handshakes = new Handshakes(clock);
    over = Array.from({ length: MAX_HANDSHAKES + 4 }, (_, i) => handshakes.enter(() => begun.push(i)));
  });
  const first = Array.from({ length: MAX_HANDSHAKES }, (_, i) => i);
  const [a, b, c, d] = [MAX_HANDSHAKES, MAX_HANDSHAKES + 1, MAX_HANDSHAKES + 2, MAX_HANDSHAKES + 3];

  it('are so many at a time; the newest of those that wait is next', () => {
    expect(begun).to.deep.equal(first);
    over[7]?.();
    over[7]?.();
    expect(begun).to.deep.equal([...first, d]);
    over[d]?.();
    over[9]?.();
    expect(begun).to.deep.equal([...first, d, c, b]);
  });

  it('are not waited for when they take too long', async () => {
    await clock.advance(HANDSHAKE_MS - 1);
    expect(begun).to.deep.equal(first);
    await clock.advance(1);
    expect(begun).to.deep.equal([...first, d, c, b, a]);
    // What was slow is over at last: nobody is counted twice.
    for (const each of over) each();
    await clock.advance(HANDSHAKE_MS);
    expect(begun).to.have.length(MAX_HANDSHAKES + 4);
  });

  it('do not begin for those who have gone meanwhile', () => {
    over[d]?.();
    over[b]?.();
    over[0]?.();
    over[1]?.();
    over[2]?.();
    expect(begun).to.deep.equal([...first, c, a]);
  });
});
