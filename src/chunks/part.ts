/** A file that is being fetched: `<target>.part`, its sidecar, and the way from there to the finished file. */
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import type { Manifest } from '../protocol/values.js';
import { BitSet } from './bits.js';
import { Claims } from './claims.js';
import { chunkCountOf, loadXxHash64, manifestRoot } from './digest.js';
import type { XxHash64 } from './digest.js';
import { readFully, writeFully } from './files.js';
import type { FileIdentity } from './files.js';
import { unwritable } from './fserrors.js';
import { takeLock } from './lock.js';
import type { FileLock } from './lock.js';
import { partPaths, resumeOrBegin } from './partfiles.js';
import type { BeginOptions, PartFiles, PartPaths } from './partfiles.js';
import { blockPlace, blocksOfChunk, chunkOfBlock, planChunks } from './plan.js';
import type { BlockPlace, Plan } from './plan.js';
import { spoiltBlocks } from './recover.js';
import type { RecoverOptions } from './recover.js';
import { digestsBelong, SidecarLog } from './sidecar.js';
import type { Subject } from './sidecar.js';
import type { PartStore } from './store.js';

export interface PartOptions extends BeginOptions {
  /** The path that the finished file will have. */
  readonly target: string;
  readonly manifest: Manifest;
}

export interface FinishOptions extends RecoverOptions {
  /** Replace an existing target. */
  readonly overwrite?: boolean | undefined;
}

/** What its holder needs to serve a file that is finished. */
export interface FinishedFile {
  readonly path: string;
  readonly identity: FileIdentity;
  /** The digests of all blocks in order, 32 bytes each. */
  readonly blockDigests: Buffer;
  /** Where what had the name before is now, if it was kept. */
  readonly setAside: string | undefined;
}

/**
 * Opens the `.part` of `target`, or begins it. What an earlier run left is read again first, so every block that the part says it
 * has is good; that takes a pass over those blocks at the disk's speed.
 * @throws ParleyError DISK_FULL (any refusal to write, with a reason), TARGET_EXISTS (a `.part` of that name is not ours),
 *   TARGET_BUSY (another process, or this one, has it open), HASH_MISMATCH (the manifest's root is not that of its chunks),
 *   BAD_CHUNK_COUNT
 */
export async function openPart(options: PartOptions): Promise<Part> {
  const { manifest, target } = options;
  const subject = { manifest, plan: planChunks(manifest.sizeBytes, chunkCountOf(manifest)) };
  if (manifestRoot(manifest) !== manifest.root) throw new ParleyError('HASH_MISMATCH', { file: basename(target) });
  const xxHash64 = await loadXxHash64();
  const paths = partPaths(target);
  let lock: FileLock | undefined;
  try {
    lock = await takeLock(paths.lock, target);
    return new Part(subject, paths, lock, xxHash64, await resumeOrBegin(paths, subject, xxHash64, options));
  } catch (error) {
    await lock?.release();
    throw unwritable(paths.part, error);
  }
}

/** A file that is being fetched. Its files are this owner's alone until `close`. */
export class Part {
  readonly plan: Plan;
  readonly #subject: Subject;
  readonly #paths: PartPaths;
  readonly #lock: FileLock;
  readonly #xxHash64: XxHash64;
  readonly #file: PartStore;
  readonly #claims: Claims;
  readonly #digests: Map<number, Buffer>;
  /** Blocks whose verified bytes are in the file. */
  readonly #held: BitSet;
  /** Of each chunk: how many of its blocks are held. */
  readonly #heldOfChunk: Uint32Array;
  readonly #writes = new Set<Promise<void>>();
  #heldBytes = 0;
  #finishing: Promise<FinishedFile> | undefined;
  #closing: Promise<void> | undefined;
  #state: 'open' | 'finished' | 'closed' = 'open';

  /** For `openPart`. */
  constructor(subject: Subject, paths: PartPaths, lock: FileLock, xxHash64: XxHash64, files: PartFiles) {
    this.plan = subject.plan;
    this.#subject = subject;
    this.#paths = paths;
    this.#lock = lock;
    this.#xxHash64 = xxHash64;
    this.#file = files.file;
    this.#claims = new Claims(paths.part, files.file, files.log);
    this.#digests = files.digests;
    this.#held = files.held;
    this.#heldOfChunk = new Uint32Array(this.plan.chunks);
    for (const run of this.#held.runs()) {
      for (let block = run.first; block < run.first + run.count; block++) this.#count(blockPlace(this.plan, block), 1);
    }
  }

  /** Where the bytes are until the file is finished. */
  get path(): string {
    return this.#paths.part;
  }

  /**
   * The file's descriptor until `close`, for a thread that writes verified blocks itself and has them counted by
   * `markWritten`; none of its writes may be under way when `finish` is called. Undefined when it is more than one file.
   */
  get fd(): number | undefined {
    return this.#file.fd;
  }

  /** Bytes of the blocks that are held. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether every block is held, so that `finish` can be called. */
  get complete(): boolean {
    return this.#held.count === this.plan.blocks;
  }

  /** Whether its file is still at its path: a person may have removed or replaced it. */
  isInPlace(): Promise<boolean> {
    return this.#file.isInPlace();
  }

  has(block: number): boolean {
    return this.#held.has(block);
  }

  hasChunk(chunk: number): boolean {
    return this.#heldOfChunk[chunk] === blocksOfChunk(this.plan, chunk).count;
  }

  /** The chunks that are held whole, as the bitmap that travels. */
  heldChunks(): Buffer {
    const chunks = new BitSet(this.plan.chunks);
    for (let chunk = 0; chunk < this.plan.chunks; chunk++) if (this.hasChunk(chunk)) chunks.add(chunk);
    return chunks.toBytes();
  }

  /** The blocks of a chunk, or of the file, that are not held, in order. */
  missing(chunk?: number): number[] {
    const runs = this.#held.runs(false, chunk === undefined ? undefined : blocksOfChunk(this.plan, chunk));
    return [...runs].flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
  }

  /** The digests of a chunk's blocks, 32 bytes each; undefined until `learn`, in this run or an earlier one. */
  blockDigests(chunk: number): Buffer | undefined {
    return this.#digests.get(chunk);
  }

  /**
   * Takes the digests of a chunk's blocks, which some holder gave, after checking them against the manifest. Needed before a block
   * of the chunk is written; kept in the sidecar.
   * @throws ParleyError HASH_MISMATCH; RangeError when the file has no such chunk
   */
  learn(chunk: number, blockDigests: Buffer): void {
    this.#expectOpen();
    if (this.#digests.has(chunk)) return;
    if (!digestsBelong(this.#subject, chunk, blockDigests)) {
      throw new ParleyError('HASH_MISMATCH', { file: basename(this.#paths.target), chunk });
    }
    const own = Buffer.from(blockDigests);
    this.#digests.set(chunk, own);
    this.#claims.addDigests(chunk, own);
  }

  /**
   * Writes a block whose digest the caller has verified. `bytes` must not change until the promise settles. Returns whether this
   * block made its chunk whole. Writing a block again does nothing.
   * @throws ParleyError DISK_FULL (with a reason): the block is missing still and may be written again later
   */
  async write(block: number, bytes: Uint8Array): Promise<boolean> {
    const { length, offset } = this.#expectWritable(block);
    if (bytes.length !== length) throw new RangeError(`block ${block} has ${length} bytes, not ${bytes.length}`);
    if (this.#held.has(block)) return false;
    const write = writeFully(this.#file, bytes, offset);
    this.#writes.add(write);
    try {
      await write;
      return this.#written(block);
    } catch (error) {
      throw unwritable(this.#paths.part, error);
    } finally {
      this.#writes.delete(write);
    }
  }

  /**
   * As `write`, at once on this thread: bytes that were just checked are in its cache still, and nobody has to be woken. Keeps the
   * loop as long as the disk takes.
   * @throws ParleyError DISK_FULL (with a reason), as `write`
   */
  writeNow(block: number, bytes: Uint8Array): boolean {
    const { length, offset } = this.#expectWritable(block);
    if (bytes.length !== length) throw new RangeError(`block ${block} has ${length} bytes, not ${bytes.length}`);
    if (this.#held.has(block)) return false;
    try {
      this.#file.writeNow(bytes, offset);
    } catch (error) {
      throw unwritable(this.#paths.part, error);
    }
    return this.#written(block);
  }

  /** Counts a block whose verified bytes the caller wrote to `fd` at the block's offset. Returns whether it made its chunk whole. */
  markWritten(block: number): boolean {
    this.#expectWritable(block);
    return this.#written(block);
  }

  /**
   * Reads a held block into `target` from `targetOffset` on and returns its length, so that what is there can be served already.
   * @throws ParleyError CHUNK_GONE when the block is not held; RangeError when `target` is too short
   */
  async read(block: number, target: Uint8Array, targetOffset = 0): Promise<number> {
    const { chunk, offset, length } = blockPlace(this.plan, block);
    if (target.length - targetOffset < length) throw new RangeError(`block ${block} needs ${length} bytes of room`);
    const gone = (cause?: unknown): ParleyError =>
      new ParleyError('CHUNK_GONE', { file: basename(this.#paths.target), chunk }, { cause });
    if (this.#state === 'closed' || !this.#held.has(block)) throw gone();
    const read = await readFully(this.#file, target, targetOffset, length, offset).catch((error: unknown) => {
      throw gone(error);
    });
    if (read < length) throw gone();
    return length;
  }

  /**
   * Makes what was written safe, and then claims it in the sidecar. Happens by itself every CLAIM_BYTES and CLAIM_AFTER_MS.
   * @throws ParleyError DISK_FULL (with a reason): nothing is lost, and it may be called again
   */
  flush(): Promise<void> {
    return this.#claims.flush();
  }

  /**
   * Verifies the complete file once more, as it is on disk, and gives it its name: synced, never over an existing file unless
   * `overwrite`, and the folder synced. The pass costs about 0.15 s a GiB while the file is in memory. Blocks can be read until `close`.
   * @throws ParleyError TARGET_EXISTS and DISK_FULL (everything stays; call again when that is mended), HASH_MISMATCH (some blocks
   *   were spoilt on disk and are missing again); RangeError when blocks are missing
   */
  finish(options: FinishOptions = {}): Promise<FinishedFile> {
    this.#finishing ??= this.#finish(options).catch((error: unknown) => {
      this.#finishing = undefined;
      throw unwritable(this.#paths.part, error);
    });
    return this.#finishing;
  }

  /**
   * Waits for what is under way, claims what was written, and lets go of the files; those of a part that holds nothing are removed.
   * May be called again.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #finish(options: FinishOptions): Promise<FinishedFile> {
    this.#expectOpen();
    if (!this.complete) throw new RangeError(`${this.plan.blocks - this.#held.count} blocks are missing`);
    await Promise.allSettled(this.#writes);
    await this.flush();
    const spoilt = await spoiltBlocks(this.#file, this.plan, this.#digests, options);
    if (spoilt.length > 0) {
      await this.#drop(spoilt);
      throw new ParleyError('HASH_MISMATCH', { file: basename(this.#paths.target) });
    }
    await this.#file.sync();
    const identity = await this.#file.identity();
    const setAside = await this.#file.publish(this.#paths.target, options.overwrite ?? false);
    this.#state = 'finished';
    await this.#claims.close();
    // A sidecar that stays behind without its .part is not believed.
    await rm(this.#paths.state, { force: true }).catch(() => undefined);
    await this.#lock.release();
    const blockDigests = Buffer.concat([...this.#digests].sort(([a], [b]) => a - b).map(([, digests]) => digests));
    return { path: this.#paths.target, identity, blockDigests, setAside };
  }

  async #close(): Promise<void> {
    await this.#finishing?.catch(() => undefined);
    const finished = this.#state === 'finished';
    this.#state = 'closed';
    await Promise.allSettled(this.#writes);
    // A claim that cannot be written costs a look through the file at the next start, no more.
    if (!finished) await this.flush().catch(() => undefined);
    const isEmpty = !finished && this.#held.count === 0 && (await this.isInPlace().catch(() => false));
    await this.#claims.close();
    await this.#file.close();
    if (isEmpty) {
      await this.#file.remove().catch(ignore);
      await rm(this.#paths.state, { force: true }).catch(ignore);
    }
    await this.#lock.release();
  }

  #written(block: number): boolean {
    if (!this.#held.add(block)) return false;
    const place = blockPlace(this.plan, block);
    this.#count(place, 1);
    this.#claims.add(block, place.length);
    return this.hasChunk(place.chunk);
  }

  #count({ chunk, length }: BlockPlace, by: 1 | -1): void {
    this.#heldBytes += by * length;
    this.#heldOfChunk[chunk] = (this.#heldOfChunk[chunk] ?? 0) + by;
  }

  /** Makes blocks missing again, also in the sidecar. */
  async #drop(spoilt: readonly number[]): Promise<void> {
    for (const block of spoilt) if (this.#held.delete(block)) this.#count(blockPlace(this.plan, block), -1);
    const progress = { digests: this.#digests, claimed: this.#held };
    await this.#claims.replaceLog(await SidecarLog.create(this.#paths, this.#subject, progress, this.#xxHash64));
  }

  #expectWritable(block: number): BlockPlace {
    this.#expectOpen();
    const chunk = chunkOfBlock(this.plan, block);
    if (!this.#digests.has(chunk)) throw new RangeError(`chunk ${chunk} was not learnt`);
    return blockPlace(this.plan, block);
  }

  #expectOpen(): void {
    if (this.#state !== 'open') throw new ParleyError('CANCELLED');
  }
}

const ignore = (): void => undefined;
