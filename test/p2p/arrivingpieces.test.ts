import { expect } from 'chai';
import fc from 'fast-check';
import { ArrivingPieces } from '../../src/p2p/arrivingpieces.js';
import type { Came, Pieces } from '../../src/p2p/arrivingpieces.js';
import { deferred } from '../../src/protocol/deferred.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { refusal } from '../support/refusal.js';
import { range } from './swarm.js';

const CANCELLED = new ParleyError('CANCELLED');

/** Pieces of these lengths that are copied when they are taken. */
function copying(bytes: readonly number[], more: Partial<Pieces<Buffer>> = {}): Pieces<Buffer> {
  return {
    bytes,
    into: (length) => Buffer.alloc(length),
    take: (piece) => Buffer.from(piece),
    goesOn: () => true,
    ...more,
  };
}

/** Bytes that tell where they belong. */
function bytesOf(length: number): Buffer {
  return Buffer.from(range(length).map((at) => (at * 31 + (at >> 8)) & 0xff));
}

/** Brings frames as a link does: `ahead` more of them may have begun before one is there. Those with a place land there, others elsewhere. */
async function bring<T>(arriving: ArrivingPieces<T>, frames: readonly Buffer[], ahead: number): Promise<void> {
  const placed: Buffer[] = [];
  for (let at = 0; at < frames.length; at += 1) {
    while (placed.length < frames.length && placed.length <= at + ahead) {
      const frame = frames[placed.length] ?? Buffer.alloc(0);
      const place = arriving.place(frame.length);
      frame.copy(place ?? Buffer.alloc(0));
      placed.push(place ?? frame);
    }
    await arriving.receive(placed[at] ?? Buffer.alloc(0));
  }
}

function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const frames: Buffer[] = [];
  let at = 0;
  for (const length of lengths) {
    if (at >= bytes.length) break;
    frames.push(bytes.subarray(at, (at += length)));
  }
  if (at < bytes.length) frames.push(bytes.subarray(at));
  return frames;
}

describe('p2p/arrivingpieces', () => {
  it('makes the same pieces of bytes however they are cut into frames', async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(lengths, fc.array(fc.integer({ min: 1, max: 90 })), fc.nat(3), async (pieces, frames, ahead) => {
        const arriving = new ArrivingPieces(copying(pieces));
        const bytes = bytesOf(arriving.bytes);
        await bring(arriving, cut(bytes, frames), ahead);
        const { taken, failure } = await arriving.close(undefined);
        expect(failure).to.equal(undefined);
        expect(taken.map(({ length }) => length)).to.deep.equal(pieces);
        expect(Buffer.concat(taken).equals(bytes)).to.equal(true);
      }),
    );
  });

  it('keeps what came before the end, and says whether it was lied to or refused', async () => {
    const come = async (length: number, refused?: ParleyError): Promise<Came<number>> => {
      const arriving = new ArrivingPieces({
        ...copying([10, 10, 10]),
        take: (_bytes, piece) => piece,
        goesOn: () => true,
      });
      await bring(arriving, cut(bytesOf(length), Array<number>(9).fill(7)), 0).catch(() => undefined);
      return arriving.close(refused);
    };
    const wrong = { kind: 'wrong length' } as const;
    expect(await come(25)).to.deep.equal({ taken: [0, 1], failure: wrong });
    expect(await come(31)).to.deep.equal({ taken: [0, 1], failure: wrong });
    expect(await come(31, CANCELLED)).to.deep.equal({ taken: [0, 1], failure: wrong });
    expect(await come(25, CANCELLED)).to.deep.equal({ taken: [0, 1], failure: { kind: 'refused', error: CANCELLED } });
    // All of it is there.
    expect(await come(30, CANCELLED)).to.deep.equal({ taken: [0, 1, 2], failure: undefined });
  });

  it('wants no more after a piece that is enough', async () => {
    const arriving = new ArrivingPieces(copying([10, 10, 10], { goesOn: (piece) => piece.readUInt8(0) === 0 }));
    const frames = cut(bytesOf(30), [10, 10]);
    const error = await refusal(bring(arriving, frames, 2));
    expect(error.code).to.equal('CANCELLED');
    const { taken, failure } = await arriving.close(error);
    expect(taken.length).to.equal(2);
    expect(failure).to.equal(undefined);
  });

  it('is over when nothing is being taken, and takes nothing after that', async () => {
    const taking = deferred<void>();
    let taken = 0;
    const take = async (): Promise<number> => {
      await taking.promise;
      return (taken += 1);
    };
    const arriving = new ArrivingPieces({ ...copying([10, 10]), take, goesOn: () => true });
    const receiving = refusal(bring(arriving, [bytesOf(20)], 0));
    let isOver = false;
    const closing = arriving.close(CANCELLED).finally(() => (isOver = true));
    for (let i = 0; i < 5; i += 1) await new Promise(setImmediate);
    expect(isOver).to.equal(false);
    taking.resolve();
    expect(await closing).to.deep.equal({ taken: [1], failure: { kind: 'refused', error: CANCELLED } });
    expect((await receiving).code).to.equal('CANCELLED');
    expect(taken).to.equal(1);
  });

  it('says what taking failed with, and takes no more', async () => {
    let taken = 0;
    const full = new ParleyError('DISK_FULL', { path: 'f', reason: 'full' });
    const take = (): never => {
      taken += 1;
      throw full;
    };
    const arriving = new ArrivingPieces({ ...copying([10, 10]), take, goesOn: () => true });
    expect((await refusal(bring(arriving, [bytesOf(20)], 0))).code).to.equal('CANCELLED');
    expect(await refusal(arriving.close(CANCELLED))).to.equal(full);
    expect(taken).to.equal(1);
  });
});
