/**
 * The sidecar of a `.part`: which file it will be, the block digests of its chunks, and the blocks that are safely on disk.
 *
 * A header and then records, only ever appended, so that a claim costs some bytes and not a copy of all digests (3.2 MB for
 * 100 GB). Each checksum is seeded with the one before, so what is read is always a beginning of what was written: a torn end,
 * a flipped bit or a record from elsewhere ends the reading, and the blocks claimed after it are not claimed.
 */
import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Manifest } from '../protocol/values.js';
import { BitSet } from './bits.js';
import { chunkDigest, DIGEST_BYTES, digestAt } from './digest.js';
import type { XxHash64 } from './digest.js';
import { noFollow, readFully, writeFully } from './files.js';
import { errnoOf } from './fserrors.js';
import { blocksOfChunk } from './plan.js';
import type { BlockRange, Plan } from './plan.js';

/** magic (16) | root (32) | u64 size | u32 chunks | u64 checksum */
const HEADER_BYTES = 68;
const MAGIC = Buffer.from('parley-part-1\n\0\0', 'latin1');
/** u8 kind | u32 length | payload | u64 checksum */
const RECORD_BYTES = 13;
const RECORD_HEAD_BYTES = 5;
const CHECKSUM_BYTES = 8;
/** Digests: u32 chunk | its block digests, and again. A seal is text. */
const CHUNK_NUMBER_BYTES = 4;
/** A run of blocks in a claim: u48 first | u48 count. */
const RUN_BYTES = 12;
/** Chunks whose digests go into one record when many are written at once, and bytes read before others have their turn: a few ms. */
const CHUNKS_PER_RECORD = 1024;
const BYTES_PER_TURN = 64 * 1024;
/** Bytes of the text in a seal at most. */
const MAX_STAMP_BYTES = 256;
const KIND = { digests: 1, claim: 2, seal: 3 } as const;
type Kind = keyof typeof KIND;

/** What a sidecar says. */
export interface Progress {
  /** Digests of a chunk's blocks, by chunk; each verified against the manifest. */
  readonly digests: Map<number, Buffer>;
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
  return { digests: new Map(), claimed: new BitSet(plan.blocks) };
}

/** Whether `blockDigests` are those of chunk `chunk` of the manifest. */
export function digestsBelong({ manifest, plan }: Subject, chunk: number, blockDigests: Buffer): boolean {
  return (
    blockDigests.length === blocksOfChunk(plan, chunk).count * DIGEST_BYTES &&
    chunkDigest(blockDigests).equals(digestAt(manifest.chunkDigests, chunk))
  );
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
  const digests = plan.chunks * (RECORD_BYTES + CHUNK_NUMBER_BYTES) + plan.blocks * DIGEST_BYTES;
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
    const first = payload.readUIntBE(at, 6);
    const end = first + payload.readUIntBE(at + 6, 6);
    if (end > claimed.size) return false;
    for (let block = first; block < end; block++) claimed.add(block);
  }
  return true;
}

function takeDigests(payload: Buffer, subject: Subject, digests: Map<number, Buffer>): boolean {
  for (let at = 0; at < payload.length;) {
    if (at + CHUNK_NUMBER_BYTES > payload.length) return false;
    const chunk = payload.readUInt32BE(at);
    if (chunk >= subject.plan.chunks) return false;
    at += CHUNK_NUMBER_BYTES;
    const end = at + blocksOfChunk(subject.plan, chunk).count * DIGEST_BYTES;
    const blockDigests = Buffer.from(payload.subarray(at, end));
    if (!digestsBelong(subject, chunk, blockDigests)) return false;
    digests.set(chunk, blockDigests);
    at = end;
  }
  return true;
}

function encodeHeader({ manifest, plan }: Subject, xxHash64: XxHash64): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.write(manifest.root, 16, 'hex');
  header.writeBigUInt64BE(BigInt(plan.sizeBytes), 48);
  header.writeUInt32BE(plan.chunks, 56);
  const checksumAt = HEADER_BYTES - CHECKSUM_BYTES;
  header.writeBigUInt64BE(xxHash64.hash(header.subarray(0, checksumAt)), checksumAt);
  return header;
}

/** A sidecar that is being appended to. */
export class SidecarLog {
  readonly #file: FileHandle;
  readonly #xxHash64: XxHash64;
  #chain: bigint;
  #length: number;
  /** Records not yet in the file. */
  #queue: Buffer[] = [];
  #writing: Promise<void> | undefined;
  /** How much of the file is safe. */
  #synced = 0;
  #closed = false;

  private constructor(file: FileHandle, xxHash64: XxHash64, header: Buffer) {
    this.#file = file;
    this.#xxHash64 = xxHash64;
    this.#queue.push(header);
    this.#chain = header.readBigUInt64BE(HEADER_BYTES - CHECKSUM_BYTES);
    this.#length = 0;
  }

  /** Writes a new sidecar beside the one there is and puts it in its place, so that a crash leaves the old one or the new one. */
  static async create(
    paths: { readonly state: string; readonly stateTemporary: string },
    subject: Subject,
    progress: Progress,
    xxHash64: XxHash64,
  ): Promise<SidecarLog> {
    await rm(paths.stateTemporary, { force: true });
    const file = await open(paths.stateTemporary, 'wx', 0o600);
    const log = new SidecarLog(file, xxHash64, encodeHeader(subject, xxHash64));
    try {
      const known = [...progress.digests];
      for (let i = 0; i < known.length; i += CHUNKS_PER_RECORD) {
        log.addDigests(known.slice(i, i + CHUNKS_PER_RECORD));
        await setImmediate();
      }
      log.addClaim(progress.claimed.runs());
      await log.sync();
      await rename(paths.stateTemporary, paths.state);
      return log;
    } catch (error) {
      await log.close();
      await rm(paths.stateTemporary, { force: true });
      throw error;
    }
  }

  /** Adds the block digests of chunks. They are written soon, and safe after `sync`. */
  addDigests(chunks: readonly (readonly [chunk: number, blockDigests: Buffer])[]): void {
    const parts = chunks.flatMap(([chunk, blockDigests]) => {
      const number = Buffer.allocUnsafe(CHUNK_NUMBER_BYTES);
      number.writeUInt32BE(chunk);
      return [number, blockDigests];
    });
    this.#append('digests', Buffer.concat(parts));
  }

  /** Claims blocks whose bytes are safely on disk. Safe after `sync`. */
  addClaim(runs: Iterable<BlockRange>): void {
    const list = [...runs];
    const payload = Buffer.allocUnsafe(list.length * RUN_BYTES);
    list.forEach(({ first, count }, i) => {
      payload.writeUIntBE(first, i * RUN_BYTES, 6);
      payload.writeUIntBE(count, i * RUN_BYTES + 6, 6);
    });
    if (list.length > 0) this.#append('claim', payload);
  }

  /** Notes how the file was left. Whatever is added later breaks the seal. @throws RangeError when `stamp` is too long */
  addSeal(stamp: string): void {
    const payload = Buffer.from(stamp);
    if (payload.length > MAX_STAMP_BYTES) throw new RangeError(`a stamp of ${payload.length} bytes`);
    this.#append('seal', payload);
  }

  /** Whether something was added that is not safe yet. */
  get dirty(): boolean {
    return this.#synced < this.#length || this.#queue.length > 0;
  }

  /** Makes all that was added safe. After a failure it may be called again: nothing is lost. */
  async sync(): Promise<void> {
    await this.#write();
    const length = this.#length;
    await this.#file.datasync();
    this.#synced = length;
  }

  /** Does not sync. May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing?.catch(() => undefined);
    await this.#file.close();
  }

  #append(kind: Kind, payload: Buffer): void {
    const record = Buffer.allocUnsafe(RECORD_BYTES + payload.length);
    record.writeUInt8(KIND[kind], 0);
    record.writeUInt32BE(payload.length, 1);
    payload.copy(record, RECORD_HEAD_BYTES);
    const checksumAt = RECORD_HEAD_BYTES + payload.length;
    this.#chain = this.#xxHash64.hash(record.subarray(0, checksumAt), this.#chain);
    record.writeBigUInt64BE(this.#chain, checksumAt);
    this.#queue.push(record);
    this.#write().catch(() => undefined); // The next sync tries again, and tells.
  }

  #write(): Promise<void> {
    if (this.#writing === undefined && this.#queue.length > 0) this.#writing = this.#writeQueue();
    return this.#writing ?? Promise.resolve();
  }

  // Always at a known place: what a failed write left behind is overwritten by the next one.
  async #writeQueue(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const records = this.#queue.length;
        const bytes = Buffer.concat(this.#queue);
        await writeFully(this.#file, bytes, this.#length);
        this.#length += bytes.length;
        this.#queue.splice(0, records);
      }
    } finally {
      this.#writing = undefined;
    }
  }
}
