import { expect } from 'chai';
import fc from 'fast-check';
import { ParleyError } from '../../src/protocol/errors.js';
import { FRAME_KINDS, FrameDecoder, encodeFrame } from '../../src/protocol/frame.js';
import type { Frame, FrameKind } from '../../src/protocol/frame.js';

const kinds = Object.keys(FRAME_KINDS) as FrameKind[];
const FIXED: Partial<Record<FrameKind, number>> = { cancel: 0, credit: 4, ping: 8, pong: 8 };

const frame = fc
  .record({
    kind: fc.constantFrom(...kinds),
    id: fc.nat({ max: 0xffff_ffff }),
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  })
  .map(({ kind, id, payload }): Frame => {
    const size = FIXED[kind];
    return { kind, id, payload: size === undefined ? payload : Buffer.alloc(size, 7) };
  });

/** Everything a decoder makes of a stream that comes in pieces cut at these places. */
function decode(bytes: Buffer, cuts: readonly number[], decoder = new FrameDecoder()): Frame[] {
  const frames: Frame[] = [];
  let from = 0;
  for (const cut of [...cuts.map((c) => c % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    for (const { kind, id, payload } of decoder.push(bytes.subarray(from, cut))) {
      frames.push({ kind, id, payload: Buffer.from(payload) });
    }
    from = cut;
  }
  return frames;
}

describe('FrameDecoder', () => {
  it('makes the same frames of the same bytes, wherever they are cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map((f) => encodeFrame(f.kind, f.id, f.payload)));
        expect(decode(bytes, cuts)).to.deep.equal(frames);
      }),
      { numRuns: 500 },
    );
  });

  it('makes the same frames of bytes that were read where it has room, into memory that is overwritten', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 90 })), (frames, reads) => {
        const bytes = Buffer.concat(frames.map((f) => encodeFrame(f.kind, f.id, f.payload)));
        const shelf = Buffer.alloc(2_000);
        const decoder = new FrameDecoder(undefined, (_kind, id, size) =>
          id % 2 === 0 ? shelf.subarray(0, size) : undefined,
        );
        decoder.keeps = true;
        const scratch = Buffer.alloc(64);
        const made: Frame[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const target = decoder.room ?? scratch;
          const length = bytes.copy(target, 0, at, at + Math.min(reads[turn % reads.length] ?? 90, target.length));
          at += length;
          if (decoder.landed(target, length)) continue;
          for (const each of decoder.push(target.subarray(0, length))) {
            // What lies on the shelf is good until the next frame is laid there.
            made.push(each.id % 2 === 0 ? { ...each, payload: Buffer.from(each.payload) } : each);
            if (each.id % 2 === 0) expect(each.payload.buffer).to.equal(shelf.buffer);
          }
          scratch.fill(0xee);
        }
        expect(made).to.deep.equal(frames);
      }),
      { numRuns: 500 },
    );
  });

  it('throws nothing but PROTOCOL_ERROR, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(), { maxLength: 5 }), (noise, cuts) => {
        try {
          decode(Buffer.from(noise), cuts);
        } catch (error) {
          expect(error).to.be.instanceOf(ParleyError);
          expect((error as ParleyError).code).to.equal('PROTOCOL_ERROR');
        }
      }),
      { numRuns: 2000 },
    );
  });

  const header = (length: number, kind = 2): Buffer => {
    const bytes = Buffer.alloc(9);
    bytes.writeUInt32BE(length, 0);
    bytes.writeUInt8(kind, 4);
    return bytes;
  };
  const refused = (bytes: Buffer, decoder = new FrameDecoder()): void => {
    expect(() => [...decoder.push(bytes)]).to.throw(ParleyError);
  };

  it('refuses a length from its four bytes alone, before anything is kept for it', () => {
    refused(header(0xffff_ffff).subarray(0, 4));
    refused(header(4).subarray(0, 4));
  });

  it('holds each kind to its cap', () => {
    refused(header(5 + 64 * 1024 + 1, FRAME_KINDS.call));
    refused(header(5 + 1024 * 1024 + 1, FRAME_KINDS.data));
    refused(header(5 + 1, FRAME_KINDS.cancel));
    refused(header(5 + 3, FRAME_KINDS.credit));
    refused(header(5, 99));
    const small = { controlBytes: 4096, dataBytes: 4096 };
    refused(header(5 + 4097, FRAME_KINDS.call), new FrameDecoder(small));
    expect([...new FrameDecoder().push(header(5 + 1024 * 1024, FRAME_KINDS.data))]).to.deep.equal([]);
  });
});
