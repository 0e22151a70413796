/** Test vectors for other implementations, computed by the code itself; docs/vectors.json is their written form. */
import { blockDigest, blake3, chunkDigest, manifestRoot } from '../src/chunks/digest.js';
import { blocksOfChunk, chunkRange, planChunks } from '../src/chunks/plan.js';
import { safetyNumber } from '../src/p2p/pins.js';
import { fingerprintOf } from '../src/protocol/certificate.js';
import { BLOCK_BYTES } from '../src/protocol/limits.js';
import { encodeCredit, encodeFrame } from '../src/protocol/frame.js';

const KEY_A =
  'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==';
const KEY_B =
  'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfPJ7GI0DT36KUjgDBLUaw8CJaeJ38hs1pgtI/EdmmXgHd1EQAFlF2RvXqXvU7o3P7ImK+jGuh+/qzoQ2mqpfJQ==';

/** Bytes that everyone can make: byte i is i mod 251. */
function pattern(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) bytes[i] = i % 251;
  return bytes;
}

function cut(sizeBytes: number, chunks: number): object {
  const bytes = pattern(sizeBytes);
  const plan = planChunks(sizeBytes, chunks);
  const digests: Buffer[] = [];
  const described = Array.from({ length: chunks }, (_, chunk) => {
    const { offset, length } = chunkRange(plan, chunk);
    const blocks = Array.from({ length: blocksOfChunk(plan, chunk).count }, (_block, i) =>
      blockDigest(bytes.subarray(offset + i * BLOCK_BYTES, Math.min(offset + (i + 1) * BLOCK_BYTES, offset + length))),
    );
    const digest = chunkDigest(Buffer.concat(blocks));
    digests.push(digest);
    return { offset, length, blockDigests: blocks.map((b) => b.toString('hex')), chunkDigest: digest.toString('hex') };
  });
  return { sizeBytes, chunks: described, root: manifestRoot({ sizeBytes, chunkDigests: Buffer.concat(digests) }) };
}

function bitmap(chunks: number, held: readonly number[]): object {
  const bytes = Buffer.alloc(Math.ceil(chunks / 8));
  for (const chunk of held) bytes[chunk >> 3] = (bytes[chunk >> 3] ?? 0) | (1 << (chunk & 7));
  return { chunks, held, bitmap: bytes.toString('base64') };
}

export function vectors(): object {
  return {
    frames: [
      {
        kind: 'call',
        id: 1,
        payload: '{"command":"whoelse","params":{}}',
        hex: encodeFrame('call', 1, '{"command":"whoelse","params":{}}').toString('hex'),
      },
      { kind: 'data', id: 3, payload: 'abc', hex: encodeFrame('data', 3, 'abc').toString('hex') },
      { kind: 'data', id: 3, payload: '', hex: encodeFrame('data', 3).toString('hex') },
      { kind: 'cancel', id: 7, payload: '', hex: encodeFrame('cancel', 7).toString('hex') },
      { kind: 'credit', id: 9, bytes: 1_048_576, hex: encodeCredit(9, 1_048_576).toString('hex') },
      {
        kind: 'ping',
        id: 0,
        payloadHex: '0102030405060708',
        hex: encodeFrame('ping', 0, Buffer.from('0102030405060708', 'hex')).toString('hex'),
      },
    ],
    blake3: [
      { of: 'nothing', hex: blake3(Buffer.alloc(0)).toString('hex') },
      { of: 'abc', hex: blake3(Buffer.from('abc')).toString('hex') },
    ],
    filesNote: 'byte i of each file is i mod 251',
    files: [cut(0, 1), cut(1, 1), cut(10, 3), cut(BLOCK_BYTES + 1, 1), cut(2_500_000, 2)],
    bitmaps: [bitmap(5, [0, 2, 3]), bitmap(9, [8]), bitmap(16, [])],
    fingerprints: [{ publicKey: KEY_A, fingerprint: `SHA256:${fingerprintOf(KEY_A)}` }],
    safetyNumbers: [
      {
        users: [
          { user: 'alice', publicKey: KEY_A },
          { user: 'Bob', publicKey: KEY_B },
        ],
        safetyNumber: safetyNumber({ user: 'alice', publicKey: KEY_A }, { user: 'Bob', publicKey: KEY_B }),
      },
    ],
  };
}
