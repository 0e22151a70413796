/** A file that is being fetched: `<target>.part`, its sidecar, and the way from there to the finished file. */
import { basename } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import type { Manifest } from '../protocol/values.js';
import type { BitSet } from './bits.js';
import { blockThreadFor } from './blockthread.js';
import type { BlockThread } from './blockthread.js';
import { Claims } from './claims.js';
import { chunkCountOf, digestAt, loadXxHash64, manifestRoot } from './digest.js';
import type { XxHash64 } from './digest.js';
import { readFully, writeFully } from './files.js';
import { unwritable } from './fserrors.js';
import { leavePart, publishPart } from './endings.js';
import type { FinishedFile, FinishOptions, PartEnds } from './endings.js';
import { HeldBlocks } from './held.js';
import { takeLock } from './lock.js';
import type { FileLock } from './lock.js';
import { partPaths, resumeOrBegin } from './partfiles.js';
import type { BeginOptions, PartFiles, PartPaths } from './partfiles.js';
import { blockPlace, bytesOfBlocks, chunkOfBlock, planChunks } from './plan.js';
import type { BlockRange, ByteRange, Plan } from './plan.js';
import { spoiltBlocks } from './recover.js';
import { runToCheck } from './runs.js';
import { digestsBelong, SidecarLog } from './sidecar.js';
import type { Subject } from './sidecar.js';
import type { PartStore } from './store.js';

export type { FinishedFile, FinishOptions } from './endings.js';

export interface PartOptions extends BeginOptions {
  /** The path that the finished file will have. */
  readonly target: string;
  readonly manifest: Manifest;
  /** What hashes and writes blocks, when not what `blockThreadFor` says. */
  readonly thread?: BlockThread | undefined;
}

/**
 * Opens the `.part` of `target`, or begins it. Every block that the part says it has is good: what was closed in good order and is
 * as it was left is known to be; anything else is read again first, which takes a pass over those blocks at the disk's speed.
 * @throws ParleyError DISK_FULL (any refusal to write, with a reason), TARGET_EXISTS (a `.part` of that name is not ours),
 *   TARGET_BUSY (another process, or this one, has it open), HASH_MISMATCH (the manifest's root is not that of its chunks),
 *   BAD_CHUNK_COUNT
 */
export async function openPart(options: PartOptions): Promise<Part> {
  const { manifest, target } = options;
  const subject = { manifest, plan: planChunks(manifest.sizeBytes, chunkCountOf(manifest)) };
  const { layout } = options;
  if (layout?.index.length !== manifest.indexBytes || (layout && layout.sizeBytes !== manifest.sizeBytes)) {
    throw new ParleyError('BAD_FOLDER_INDEX', { file: basename(target), reason: 'it is not of this size' });
  }
  if (manifestRoot(manifest) !== manifest.root) throw new ParleyError('HASH_MISMATCH', { file: basename(target) });
  const xxHash64 = await loadXxHash64();
  const paths = partPaths(target);
  let lock: FileLock | undefined;
  try {
    lock = await takeLock(paths.lock, target);
    const thread = options.thread ?? blockThreadFor(manifest.sizeBytes);
    return new Part(subject, paths, lock, xxHash64, await resumeOrBegin(paths, subject, xxHash64, options), thread);
  } catch (error) {
    await lock?.release();
    throw unwritable(paths.part, error);
  }
}

/** A file that is being fetched. Its files are this owner's alone until `close`. */
export class Part {
  readonly plan: Plan;
  readonly #subject: Subject;
  readonly #ends: PartEnds;
  readonly #paths: PartPaths;
  readonly #xxHash64: XxHash64;
  readonly #file: PartStore;
  readonly #claims: Claims;
  readonly #digests: Map<number, Buffer>;
  /** Blocks whose verified bytes are in the file. */
  readonly #held: HeldBlocks;
  readonly #writes = new Set<Promise<void>>();
  readonly #thread: BlockThread | undefined;
  #finishing: Promise<FinishedFile> | undefined;
  #closing: Promise<void> | undefined;
  #state: 'open' | 'finished' | 'closed' = 'open';

  /** For `openPart`. */
  constructor(
    subject: Subject,
    paths: PartPaths,
    lock: FileLock,
    xxHash64: XxHash64,
    files: PartFiles,
    thread: BlockThread | undefined,
  ) {
    this.plan = subject.plan;
    this.#subject = subject;
    this.#paths = paths;
    this.#xxHash64 = xxHash64;
    this.#file = files.file;
    this.#claims = new Claims(paths.part, files.file, files.log);
    this.#ends = { paths, lock, file: files.file, claims: this.#claims };
    this.#digests = files.digests;
    this.#thread = thread;
    this.#held = new HeldBlocks(this.plan, files.held);
  }

  /** Where the bytes are until the file is finished. */
  get path(): string {
    return this.#paths.part;
  }

  /** Whether another thread checks and writes what `takeIn` is given: of a file that is large enough, where there is a core for it. */
  get hasThread(): boolean {
    return this.#thread !== undefined && this.#file.fd !== undefined;
  }

  /** Bytes of the blocks that are held. */
  get heldBytes(): number {
    return this.#held.bytes;
  }

  /** Whether every block is held, so that `finish` can be called. */
  get complete(): boolean {
    return this.#held.complete;
  }

  /** Whether its file is still at its path: a person may have removed or replaced it. */
  isInPlace(): Promise<boolean> {
    return this.#claims.isInPlace();
  }

  has(block: number): boolean {
    return this.#held.has(block);
  }

  hasChunk(chunk: number): boolean {
    return this.#held.hasChunk(chunk);
  }

  /** The blocks that are held, for reading: it goes on growing. */
  get heldBlocks(): BitSet {
    return this.#held.blocks;
  }

  /** The chunks that are held whole, as the bitmap that travels. */
  heldChunks(): Buffer {
    return this.#held.chunks();
  }

  /** The blocks of a chunk, or of the file, that are not held, in order. */
  missing(chunk?: number): number[] {
    return this.#held.missing(chunk);
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
    this.#know(chunk, blockDigests);
  }

  /**
   * Writes a block, or `count` that stand side by side, whose digests the caller has verified. `bytes` must not change until the promise
   * settles. Returns whether this made a chunk whole. Writing a block again does nothing.
   * @throws ParleyError DISK_FULL (with a reason): the block is missing still and may be written again later, unless the file is not
   *   at its path any more, which shows a second after
   */
  async write(block: number, bytes: Uint8Array, count = 1): Promise<boolean> {
    const { offset } = this.#expectWritable({ first: block, count }, bytes);
    if (count === 1 && this.#held.has(block)) return false;
    const write = writeFully(this.#file, bytes, offset);
    this.#writes.add(write);
    try {
      await write;
      return this.#allWritten({ first: block, count });
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
  writeNow(block: number, bytes: Uint8Array, count = 1): boolean {
    const { offset } = this.#expectWritable({ first: block, count }, bytes);
    if (count === 1 && this.#held.has(block)) return false;
    try {
      this.#file.writeNow(bytes, offset);
    } catch (error) {
      throw unwritable(this.#paths.part, error);
    }
    return this.#allWritten({ first: block, count });
  }

  /** Counts a block whose verified bytes are in the file already. Returns whether it made its chunk whole. */
  markWritten(block: number): boolean {
    this.#expectWritable({ first: block, count: 1 });
    return this.#written(block);
  }

  /**
   * Has another thread check blocks that stand side by side, whose bytes (best in shared memory) came one behind another, and write
   * those that are good; returns the numbers of the others. Several blocks must be either of one chunk, or chunks of one block each, and
   * only of these the digests need not have been learnt. `bytes` must not change until the promise settles. Only with `hasThread`.
   * @throws ParleyError DISK_FULL (with a reason), as `write`
   */
  async takeIn(blocks: BlockRange, bytes: Uint8Array): Promise<number[]> {
    this.#expectOpen();
    this.#expectInPlace();
    const taking = this.#takeIn(blocks, bytes);
    const settled = taking.then(ignore, ignore);
    this.#writes.add(settled);
    try {
      return await taking;
    } catch (error) {
      throw unwritable(this.#paths.part, error);
    } finally {
      this.#writes.delete(settled);
    }
  }

  /**
   * Reads a held block, or `count` of them, into `target` from `targetOffset` on and returns how many bytes these are, so that what is
   * there can be served already.
   * @throws ParleyError CHUNK_GONE when a block is not held; RangeError when `target` is too short
   */
  async read(block: number, target: Uint8Array, targetOffset = 0, count = 1): Promise<number> {
    const { chunk } = blockPlace(this.plan, block);
    const { offset, length } = bytesOfBlocks(this.plan, { first: block, count });
    if (target.length - targetOffset < length) throw new RangeError(`block ${block} needs ${length} bytes of room`);
    const gone = (cause?: unknown): ParleyError =>
      new ParleyError('CHUNK_GONE', { file: basename(this.#paths.target), chunk }, { cause });
    for (let each = block; each < block + count; each++) if (!this.#held.has(each)) throw gone();
    if (this.#state === 'closed') throw gone();
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
   * Waits for what is under way, claims what was written, notes how the file was left, and lets go of it; the files of a part that
   * holds nothing are removed. May be called again.
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
    const spoilt = await spoiltBlocks(this.#file, this.plan, this.#digests, options, this.#thread);
    if (spoilt.length > 0) {
      await this.#drop(spoilt);
      throw new ParleyError('HASH_MISMATCH', { file: basename(this.#paths.target) });
    }
    const published = await publishPart(this.#ends, options.overwrite ?? false);
    this.#state = 'finished';
    const blockDigests = Buffer.concat([...this.#digests].sort(([a], [b]) => a - b).map(([, digests]) => digests));
    return { path: this.#paths.target, blockDigests, ...published };
  }

  async #close(): Promise<void> {
    await this.#finishing?.catch(() => undefined);
    const finished = this.#state === 'finished';
    this.#state = 'closed';
    await Promise.allSettled(this.#writes);
    // A claim or a note that cannot be written costs a look through the file at the next start, no more.
    if (!finished) await this.#claims.seal().catch(() => undefined);
    await leavePart(this.#ends, !finished && this.#held.count === 0);
  }

  async #takeIn(blocks: BlockRange, bytes: Uint8Array): Promise<number[]> {
    const { fd } = this.#file;
    if (fd === undefined || this.#thread === undefined) throw new RangeError('there is no thread for it');
    const run = runToCheck(this.#subject, this.#digests, blocks);
    const { good, digests } = await this.#thread.run({ ...run, fd, bytes });
    const bad: number[] = [];
    for (let i = 0; i < blocks.count; i++) {
      const block = blocks.first + i;
      if (good[i] !== true) {
        bad.push(block);
        continue;
      }
      const chunk = chunkOfBlock(this.plan, block);
      if (run.of === 'chunk' && !this.#digests.has(chunk)) this.#know(chunk, digestAt(Buffer.from(digests), i));
      this.#written(block);
    }
    return bad;
  }

  #know(chunk: number, blockDigests: Buffer): void {
    const own = Buffer.from(blockDigests);
    this.#digests.set(chunk, own);
    this.#claims.addDigests(chunk, own);
  }

  #allWritten({ first, count }: BlockRange): boolean {
    let isWhole = false;
    for (let block = first; block < first + count; block++) isWhole = this.#written(block) || isWhole;
    return isWhole;
  }

  #written(block: number): boolean {
    if (!this.#held.add(block)) return false;
    const { chunk, length } = blockPlace(this.plan, block);
    this.#claims.add(block, length);
    return this.hasChunk(chunk);
  }

  /** Makes blocks missing again, also in the sidecar. */
  async #drop(spoilt: readonly number[]): Promise<void> {
    for (const block of spoilt) this.#held.delete(block);
    const progress = { digests: this.#digests, claimed: this.#held.blocks };
    await this.#claims.replaceLog(await SidecarLog.create(this.#paths, this.#subject, progress, this.#xxHash64));
  }

  #expectWritable(blocks: BlockRange, bytes?: Uint8Array): ByteRange {
    this.#expectOpen();
    this.#expectInPlace();
    const { first, count } = blocks;
    const place = bytesOfBlocks(this.plan, blocks);
    for (let chunk = chunkOfBlock(this.plan, first); chunk <= chunkOfBlock(this.plan, first + count - 1); chunk++) {
      if (!this.#digests.has(chunk)) throw new RangeError(`chunk ${chunk} was not learnt`);
    }
    if (bytes === undefined || bytes.length === place.length) return place;
    throw new RangeError(`block ${first} has ${place.length} bytes, not ${bytes.length}`);
  }

  /** Whatever comes from now on would be lost: rather says so than takes it. */
  #expectInPlace(): void {
    if (this.#claims.isLost) throw new ParleyError('DISK_FULL', { path: this.path, reason: REMOVED });
  }

  #expectOpen(): void {
    if (this.#state !== 'open') throw new ParleyError('CANCELLED');
  }
}

const ignore = (): void => undefined;
const REMOVED = 'it or its folder was moved, removed or replaced meanwhile';
