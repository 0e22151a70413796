/** Digests: BLAKE3 for trust, xxHash64 against accidents only. */
import { blake3 as blake3Once, Blake3Hasher, blake3UrlSafeBase64 } from '@napi-rs/blake-hash';
import xxhash from 'xxhash-wasm';
import type { Digest, Manifest } from '../protocol/values.js';
import type { BlockRange } from './plan.js';

/** Bytes of a BLAKE3 digest. */
export const DIGEST_BYTES = 32;

const MANIFEST_TAG = Buffer.from('parley-manifest-1\n', 'ascii');
const FOLDER_TAG = Buffer.from('parley-folder-1\n', 'ascii');

/** The same bytes as the native binding takes them, without a copy. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** BLAKE3 that is fed piece by piece. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** The 32-byte digest of what was fed so far. */
  digest(): Buffer;
}

/** A fresh incremental BLAKE3. */
export function createHasher(): Hasher {
  const native = new Blake3Hasher();
  return {
    update: (bytes) => void native.update(bufferOf(bytes)),
    digest: () => native.digestBuffer(),
  };
}

/** The BLAKE3 digest (32 bytes) of the parts, one after another. */
export function blake3(...parts: readonly Uint8Array[]): Buffer {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return blake3Once(bufferOf(first));
  const hasher = createHasher();
  for (const part of parts) hasher.update(part);
  return hasher.digest();
}

/** The digest of a block's bytes. */
export function blockDigest(bytes: Uint8Array): Buffer {
  return blake3Once(bufferOf(bytes));
}

/**
 * Writes the digest of `bytes` into `target` at `at`. For thousands a second: the binding makes a text in a third of the time that it needs for a
 * Buffer, which the collector has to look after besides (0.4 and 1.4 us of CPU for 32 bytes).
 */
export function hashInto(bytes: Uint8Array, target: Buffer, at = 0): void {
  target.write(blake3UrlSafeBase64(bufferOf(bytes)), at, DIGEST_BYTES, 'base64url');
}

/** The digest of a chunk, of the digests of its blocks in order (32 bytes each); of an empty chunk: of nothing. */
export function chunkDigest(blockDigests: Uint8Array): Buffer {
  return blake3Once(bufferOf(blockDigests));
}

/**
 * The root of a manifest: BLAKE3("parley-manifest-1\n" | u64 BE size | u32 BE chunk count | chunk digests); of a folder:
 * BLAKE3("parley-folder-1\n" | u64 BE size | u32 BE chunk count | u32 BE bytes of its index | chunk digests).
 */
export function manifestRoot(manifest: Omit<Manifest, 'root'>): Digest {
  const counts = Buffer.alloc(12);
  counts.writeBigUInt64BE(BigInt(manifest.sizeBytes), 0);
  counts.writeUInt32BE(chunkCountOf(manifest), 8);
  if (manifest.indexBytes === undefined) return toDigest(blake3(MANIFEST_TAG, counts, manifest.chunkDigests));
  const index = Buffer.alloc(4);
  index.writeUInt32BE(manifest.indexBytes);
  return toDigest(blake3(FOLDER_TAG, counts, index, manifest.chunkDigests));
}

/** How many chunks a manifest has. */
export function chunkCountOf(manifest: Pick<Manifest, 'chunkDigests'>): number {
  return manifest.chunkDigests.length / DIGEST_BYTES;
}

/** A 32-byte digest as the text that travels. */
export function toDigest(bytes: Uint8Array): Digest {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex') as Digest;
}

/** Whether digest number `index` of `digests` is `digest`. A loop: a call out of the engine takes ten times as long for 32 bytes. */
export function isDigestAt(digests: Uint8Array, index: number, digest: Uint8Array): boolean {
  const begin = index * DIGEST_BYTES;
  for (let i = 0; i < DIGEST_BYTES; i++) if (digests[begin + i] !== digest[i]) return false;
  return begin + DIGEST_BYTES <= digests.length;
}

/** Digest number `index` of digests that stand one after another. */
export function digestAt(digests: Buffer, index: number): Buffer {
  return digestsOf(digests, { first: index, count: 1 });
}

/** A run of the digests that stand one after another; not a copy. */
export function digestsOf(digests: Buffer, { first, count }: BlockRange): Buffer {
  return digests.subarray(first * DIGEST_BYTES, (first + count) * DIGEST_BYTES);
}

/** xxHash64: fast, and made to collide at will, so it only ever guards against accidents. */
export interface XxHash64 {
  hash(bytes: Uint8Array, seed?: bigint): bigint;
  /** Piece by piece. Pieces of about 1 MiB keep its memory small. */
  create(): { update(bytes: Uint8Array): void; digest(): bigint };
}

let loading: Promise<XxHash64> | undefined;

/** xxHash64, compiled on first use. */
export function loadXxHash64(): Promise<XxHash64> {
  loading ??= xxhash().then((api) => ({
    hash: (bytes, seed) => api.h64Raw(bytes, seed),
    create: () => {
      const state = api.create64();
      return { update: (bytes) => void state.update(bytes), digest: () => state.digest() };
    },
  }));
  return loading;
}
