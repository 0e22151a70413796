import { expect } from 'chai';
import fc from 'fast-check';
import {
  blake3,
  blockDigest,
  chunkCountOf,
  chunkDigest,
  createHasher,
  digestAt,
  hashInto,
  isDigestAt,
  loadXxHash64,
  manifestRoot,
  toDigest,
} from '../../src/chunks/digest.js';

const EMPTY = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
/** Bytes 0, 1, … 250, 0, 1, …: the input of BLAKE3's published test vectors. */
const pattern = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => i % 251));

describe('chunks/digest', () => {
  it("gives BLAKE3's published vectors", () => {
    const vectors: [Buffer, string][] = [
      [pattern(0), EMPTY],
      [pattern(1), '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
      [pattern(1024), '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
      [pattern(1025), 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444'],
      [Buffer.from('abc'), '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85'],
    ];
    for (const [input, hex] of vectors) {
      expect(blake3(input).toString('hex')).to.equal(hex);
      expect(toDigest(blockDigest(input))).to.equal(hex);
    }
  });

  it('writes the same digest where it is told to, and finds it there', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(3), fc.nat(31), (bytes, index, place) => {
        const digests = Buffer.alloc(4 * 32, 1);
        hashInto(bytes, digests, index * 32);
        const digest = blake3(bytes);
        expect(digestAt(digests, index)).to.deep.equal(digest);
        for (const other of [0, 1, 2, 3]) expect(isDigestAt(digests, other, digest)).to.equal(other === index);
        expect(isDigestAt(digests.subarray(0, index * 32 + 31), index, digest)).to.equal(false);
        digest[place] = (digest[place] ?? 0) ^ 1;
        expect(isDigestAt(digests, index, digest)).to.equal(false);
      }),
    );
    expect(isDigestAt(Buffer.alloc(0), 0, Buffer.alloc(0))).to.equal(false);
  });

  it('gives the same digest however the bytes are fed', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 5 }), (parts) => {
        const whole = blake3(Buffer.concat(parts));
        expect(blake3(...parts).equals(whole)).to.equal(true);
        const hasher = createHasher();
        for (const part of parts) hasher.update(part);
        expect(hasher.digest().equals(whole)).to.equal(true);
      }),
    );
  });

  it('reads the view it is given, not the memory under it', () => {
    const memory = new Uint8Array(100).fill(7);
    expect(blake3(memory.subarray(10, 20))).to.deep.equal(blake3(Buffer.alloc(10, 7)));
    expect(toDigest(memory.subarray(0, 2))).to.equal('0707');
  });

  it('gives constant roots', () => {
    const empty = { sizeBytes: 0, chunkDigests: chunkDigest(Buffer.alloc(0)) };
    expect(toDigest(empty.chunkDigests)).to.equal(EMPTY);
    expect(manifestRoot(empty)).to.equal('a8f2ba054eefcd238d4e967b069f9977c27943aeab451dcc3427f28e52ff6001');

    // "hello world" in two chunks of one block each: "hello " and "world".
    const blocks = [blockDigest(Buffer.from('hello ')), blockDigest(Buffer.from('world'))];
    const chunkDigests = Buffer.concat(blocks.map((block) => chunkDigest(block)));
    expect(chunkCountOf({ chunkDigests })).to.equal(2);
    expect(toDigest(digestAt(chunkDigests, 1))).to.equal(
      'dc476d91747db2f80dc27c2e4db9af167a7663e0818e3fe8838eefbec10bfcd0',
    );
    expect(manifestRoot({ sizeBytes: 11, chunkDigests })).to.equal(
      '967daf050d17a0267cbac23d2ba121e5e101b121f28d8047c2b5626d557c510e',
    );
    const canonical = Buffer.concat([
      Buffer.from('parley-manifest-1\n'),
      Buffer.from('000000000000000b00000002', 'hex'),
      chunkDigests,
    ]);
    expect(manifestRoot({ sizeBytes: 11, chunkDigests })).to.equal(toDigest(blake3(canonical)));
  });

  it('gives xxHash64, whole and piece by piece', async () => {
    const xxHash64 = await loadXxHash64();
    expect(xxHash64.hash(Buffer.alloc(0))).to.equal(0xef46db3751d8e999n);
    expect(xxHash64.hash(Buffer.from('abc'))).to.equal(0x44bc2cf5ad770999n);
    const [one, other] = [xxHash64.create(), xxHash64.create()];
    one.update(Buffer.from('a'));
    other.update(Buffer.from('zzz'));
    one.update(Buffer.from('bc'));
    expect(one.digest()).to.equal(0x44bc2cf5ad770999n);
    expect(xxHash64.hash(Buffer.from('abc'), 1n)).not.to.equal(0x44bc2cf5ad770999n);
  });
});
