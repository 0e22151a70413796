import { expect } from 'chai';
import { Landing } from '../../src/protocol/landing.js';

describe('Landing', () => {
  it('reads nothing before somebody takes it', () => {
    const landing = new Landing();
    expect(landing.onread.buffer().length).to.be.greaterThan(0);
    expect(landing.onread.callback(5)).to.equal(false);
  });

  it('has bytes read where they are wanted, else into its own memory', () => {
    const landing = new Landing();
    const taken: [Buffer, number][] = [];
    let room: Buffer | undefined = Buffer.alloc(10);
    landing.attach({ room: () => room, take: (target, length) => taken.push([target, length]) });
    const wanted = room;
    expect(landing.onread.buffer()).to.equal(wanted);
    expect(landing.onread.callback(10)).to.equal(true);
    room = undefined;
    const own = landing.onread.buffer();
    expect(own).not.to.equal(wanted);
    landing.onread.callback(3);
    expect(taken).to.deep.equal([
      [wanted, 10],
      [own, 3],
    ]);
  });
});
