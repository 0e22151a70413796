/**
 * The sidecar of a `.part`: which file it will be, the block digests of its chunks, and the blocks that are safely on disk.
 *
 * A header and then records, only ever appended, so that a claim costs some bytes and not a copy of all digests (3.2 MB for
 * 100 GB). Each checksum is seeded with the one before, so what is read is always a beginning of what was written: a torn end,
 * a flipped bit or a record from elsewhere ends the reading, and the blocks claimed after it are not claimed.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Manifest } from '../protocol/values.js';
import { BitSet } from './bits.js';
import { DIGEST_BYTES, hashInto, isDigestAt } from './digest.js';
import type { XxHash64 } from './digest.js';
import { DigestTable } from './digesttable.js';
import { noFollow, readFully } from './files.js';
import { errnoOf } from './fserrors.js';
import { blocksOfChunk } from './plan.js';
import type { Plan } from './plan.js';

/** magic (16) | root (32) | u64 size | u32 chunks | u64 checksum */
export const HEADER_BYTES = 68;
const MAGIC = Buffer.from('parley-part-2\n\0\0', 'latin1');
/** u8 kind | u32 length | payload | u64 checksum */
export const RECORD_BYTES = 13;
export const RECORD_HEAD_BYTES = 5;
export const CHECKSUM_BYTES = 8;
/** Digests: u32 first chunk | u32 number of chunks | the digests of all their blocks, and again. A seal is text. */
export const CHUNK_RUN_BYTES = 8;
/** A run of blocks in a claim: u48 first | u48 count. */
export const RUN_BYTES = 12;
/** Bytes read before others have their turn: a few ms. */
const BYTES_PER_TURN = 64 * 1024;
/** Bytes of the text in a seal at most. */
export const MAX_STAMP_BYTES = 256;
export const KIND = { digests: 1, claim: 2, seal: 3 } as const;

/** What a sidecar says. */
export interface Progress {
  /** Digests of blocks, each verified against the manifest. */
  readonly digests: DigestTable;
  /** Blocks that were on disk when this was written. */
  readonly claimed: BitSet;
}

export interface SealedProgress extends Progress {
  /** The stamp of the file when it was closed in good order, if that was the last that was written here. */
  readonly seal: string | undefined;
}

/** The file that a sidecar is about. */
export interface Subject {
  readonly manifest: Manifest;
  readonly plan: Plan;
}

export function noProgress(plan: Plan): Progress {
  return { digests: new DigestTable(plan), claimed: new BitSet(plan.blocks) };
}

const ofChunk = Buffer.alloc(DIGEST_BYTES);

/** Whether `blockDigests` are those of chunk `chunk` of the manifest. */
export function digestsBelong({ manifest, plan }: Subject, chunk: number, blockDigests: Buffer): boolean {
  if (blockDigests.length !== blocksOfChunk(plan, chunk).count * DIGEST_BYTES) return false;
  hashInto(blockDigests, ofChunk);
  return isDigestAt(manifest.chunkDigests, chunk, ofChunk);
}

/** Reads a sidecar; `absent`: there is none; `other`: it is damaged from the start, or of another file. */
export async function readSidecar(
  path: string,
  subject: Subject,
  xxHash64: XxHash64,
): Promise<SealedProgress | 'absent' | 'other'> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | noFollow());
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'absent';
    if (errnoOf(error) === 'ELOOP') return 'other';
    throw error;
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return 'other';
    const bytes = Buffer.allocUnsafe(Math.min(stats.size, largestSidecar(subject.plan)));
    const length = await readFully(file, bytes, 0, bytes.length, 0);
    return (await parse(bytes.subarray(0, length), subject, xxHash64)) ?? 'other';
  } finally {
    await file.close();
  }
}

/** Digests once, and each block claimed once on its own, is the most that is ever written. */
function largestSidecar(plan: Plan): number {
  const digests = plan.chunks * (RECORD_BYTES + CHUNK_RUN_BYTES) + plan.blocks * DIGEST_BYTES;
  return HEADER_BYTES + digests + plan.blocks * (RECORD_BYTES + RUN_BYTES) + RECORD_BYTES + MAX_STAMP_BYTES;
}

async function parse(bytes: Buffer, subject: Subject, xxHash64: XxHash64): Promise<SealedProgress | undefined> {
  const header = encodeHeader(subject, xxHash64);
  if (!bytes.subarray(0, HEADER_BYTES).equals(header)) return undefined;
  const progress = noProgress(subject.plan);
  let chain = header.readBigUInt64BE(HEADER_BYTES - CHECKSUM_BYTES);
  let at = HEADER_BYTES;
  let seal: string | undefined;
  let turnEnds = BYTES_PER_TURN;
  while (at + RECORD_BYTES <= bytes.length) {
    const payloadAt = at + RECORD_HEAD_BYTES;
    const checksumAt = payloadAt + bytes.readUInt32BE(at + 1);
    if (checksumAt + CHECKSUM_BYTES > bytes.length) break;
    const checksum = xxHash64.hash(bytes.subarray(at, checksumAt), chain);
    if (bytes.readBigUInt64BE(checksumAt) !== checksum) break;
    const payload = bytes.subarray(payloadAt, checksumAt);
    seal = bytes[at] === KIND.seal ? payload.toString('utf8') : undefined;
    if (seal === undefined && !take(bytes[at], payload, subject, progress)) break;
    chain = checksum;
    at = checksumAt + CHECKSUM_BYTES;
    if (at > turnEnds) {
      await setImmediate();
      turnEnds = at + BYTES_PER_TURN;
    }
  }
  return { ...progress, seal: at === bytes.length ? seal : undefined };
}

/** Adds one record to what is known; false when it makes no sense for this file. */
function take(kind: number | undefined, payload: Buffer, subject: Subject, { digests, claimed }: Progress): boolean {
  if (kind === KIND.digests) return takeDigests(payload, subject, digests);
  if (kind !== KIND.claim || payload.length % RUN_BYTES !== 0) return false;
  for (let at = 0; at < payload.length; at += RUN_BYTES) {
    const run = { first: payload.readUIntBE(at, 6), count: payload.readUIntBE(at + 6, 6) };
    if (run.first + run.count > claimed.size) return false;
    claimed.addRun(run);
  }
  return true;
}

function takeDigests(payload: Buffer, subject: Subject, digests: DigestTable): boolean {
  const { plan } = subject;
  for (let at = 0; at < payload.length;) {
    if (at + CHUNK_RUN_BYTES > payload.length) return false;
    const [first, end] = [payload.readUInt32BE(at), payload.readUInt32BE(at) + payload.readUInt32BE(at + 4)];
    if (end > plan.chunks) return false;
    at += CHUNK_RUN_BYTES;
    for (let chunk = first; chunk < end; chunk++) {
      const blockDigests = payload.subarray(at, (at += blocksOfChunk(plan, chunk).count * DIGEST_BYTES));
      if (!digestsBelong(subject, chunk, blockDigests)) return false;
      digests.set(chunk, blockDigests);
    }
  }
  return true;
}

/** How the sidecar of a file begins. */
export function encodeHeader({ manifest, plan }: Subject, xxHash64: XxHash64): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.write(manifest.root, 16, 'hex');
  header.writeBigUInt64BE(BigInt(plan.sizeBytes), 48);
  header.writeUInt32BE(plan.chunks, 56);
  const checksumAt = HEADER_BYTES - CHECKSUM_BYTES;
  header.writeBigUInt64BE(xxHash64.hash(header.subarray(0, checksumAt)), checksumAt);
  return header;
}
