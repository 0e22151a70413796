/** Test vectors for other implementations, computed by the code itself; docs/vectors.json is their written form. */
import { blockDigest, blake3, chunkDigest, manifestRoot } from '../src/chunks/digest.js';
import { blocksOfChunk, chunkRange, planChunks } from '../src/chunks/plan.js';
import { safetyNumber } from '../src/p2p/pins.js';
import { fingerprintOf } from '../src/protocol/certificate.js';
import { BLOCK_BYTES } from '../src/protocol/limits.js';
import { encodeCredit, encodeFrame } from '../src/protocol/frame.js';
import { parseFileName } from '../src/protocol/values.js';

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

const GOOD_NAMES = [
  'a.txt',
  'A.TXT',
  '.profile',
  '..x',
  'a..b',
  'movie (1).mkv',
  "it's #1 & 100%.txt",
  'u\u0308.txt',
  '日本語.txt',
  '🎉.png',
  'console',
  'com10',
  'con-1.txt',
  'x'.repeat(255),
  'e\u0301'.repeat(127),
];
const BAD_NAMES = [
  '',
  '.',
  '..',
  'a/b',
  'a\\b',
  'c:x',
  'a*',
  'a?',
  'a"b',
  'a<b',
  'a>b',
  'a|b',
  'a\nb',
  'a\u007fb',
  'a\u200bb',
  'a\u202eb',
  'a\u2028b',
  'a\ufeffb',
  'a\u00adb',
  'a\u034fb',
  'a\u3164b',
  'a\ufe0fb',
  'a\ue000b',
  ' a',
  'a ',
  'a.',
  'CON',
  'nul.txt',
  'com1.tar.gz',
  'lpt²',
  'conin$',
  'x'.repeat(256),
  'ä'.repeat(128),
];

/** What becomes of a name; undefined when it is refused. */
function registeredAs(name: string): string | undefined {
  try {
    return parseFileName(name);
  } catch {
    return undefined;
  }
}

function fileNames(): object {
  const accepted = GOOD_NAMES.map((name) => ({ name, registeredAs: registeredAs(name) }));
  if (accepted.some((each) => each.registeredAs === undefined)) throw new Error('a good name is refused');
  if (BAD_NAMES.some((name) => registeredAs(name) !== undefined)) throw new Error('a bad name is taken');
  return { accepted, refused: BAD_NAMES };
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
    fileNames: fileNames(),
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
