/** An open `.part`: what is written to it, checked, read and claimed, and the way from there to the finished file. */
import { basename } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import type { BitSet } from './bits.js';
import type { BlockJobResult, BlockWork } from './blockjob.js';
import type { BlockThread } from './blockthread.js';
import type { Claims } from './claims.js';
import type { XxHash64 } from './digest.js';
import { readFully, writeFully } from './files.js';
import { unwritable } from './fserrors.js';
import { leavePart, publishPart } from './endings.js';
import type { FinishedFile, FinishOptions, PartEnds } from './endings.js';
import type { PartBlocks } from './partblocks.js';
import type { PartPaths } from './partfiles.js';
import { bytesOfBlocks, chunkOfBlock } from './plan.js';
import type { BlockRange, ByteRange, Plan } from './plan.js';
import { spoiltBlocks } from './recover.js';
import { SidecarLog } from './sidecarlog.js';
import type { PartStore } from './store.js';

/** A file that is being fetched. Its files are this owner's alone until `close`. */
export class Part {
  readonly plan: Plan;
  readonly #blocks: PartBlocks;
  readonly #ends: PartEnds;
  readonly #paths: PartPaths;
  readonly #xxHash64: XxHash64;
  readonly #file: PartStore;
  readonly #claims: Claims;
  readonly #writes = new Set<Promise<void>>();
  readonly #thread: BlockThread | undefined;
  #finishing: Promise<FinishedFile> | undefined;
  #closing: Promise<void> | undefined;
  #state: 'open' | 'finished' | 'closed' = 'open';

  /** For `openPart`. */
  constructor(blocks: PartBlocks, ends: PartEnds, xxHash64: XxHash64, thread: BlockThread | undefined) {
    this.plan = blocks.subject.plan;
    this.#blocks = blocks;
    this.#ends = ends;
    this.#paths = ends.paths;
    this.#xxHash64 = xxHash64;
    this.#file = ends.file;
    this.#claims = ends.claims;
    this.#thread = thread;
  }

  /** Where the bytes are until the file is finished. */
  get path(): string {
    return this.#paths.part;
  }

  /** Whether it is one file, which another thread can write to: `takeBy` may be used. */
  get isOneFile(): boolean {
    return this.#file.fd !== undefined;
  }

  /** Whether another thread checks and writes what `takeIn` is given: of a file that is large enough, where there is a core for it. */
  get hasThread(): boolean {
    return this.#thread !== undefined && this.isOneFile;
  }

  /** Bytes of the blocks that are held. */
  get heldBytes(): number {
    return this.#blocks.held.bytes;
  }

  /** Whether every block is held, so that `finish` can be called. */
  get complete(): boolean {
    return this.#blocks.held.complete;
  }

  /** Whether its file is still at its path: a person may have removed or replaced it. */
  isInPlace(): Promise<boolean> {
    return this.#claims.isInPlace();
  }

  has(block: number): boolean {
    return this.#blocks.held.has(block);
  }

  hasChunk(chunk: number): boolean {
    return this.#blocks.held.hasChunk(chunk);
  }

  /** The blocks that are held, for reading: it goes on growing. */
  get heldBlocks(): BitSet {
    return this.#blocks.held.blocks;
  }

  /** The chunks that are held whole, as the bitmap that travels. */
  heldChunks(): Buffer {
    return this.#blocks.held.chunks();
  }

  /** The blocks of a chunk, or of the file, that are not held, in order. */
  missing(chunk?: number): number[] {
    return this.#blocks.held.missing(chunk);
  }

  /** The digests of a chunk's blocks, 32 bytes each; undefined until `learn`, in this run or an earlier one. */
  blockDigests(chunk: number): Buffer | undefined {
    return this.#blocks.digests.get(chunk);
  }

  /**
   * Takes the digests of a chunk's blocks, which some holder gave, after checking them against the manifest. Needed before a block
   * of the chunk is written; kept in the sidecar.
   * @throws ParleyError HASH_MISMATCH; RangeError when the file has no such chunk
   */
  learn(chunk: number, blockDigests: Buffer): void {
    this.#expectOpen();
    this.#blocks.learn(chunk, blockDigests);
  }

  /**
   * Checks, on this thread, blocks that stand side by side; `bytes` are theirs, one behind another. They are either of one chunk whose
   * digests were learnt, or chunks of one block each, and only of these the digests need not have been learnt: those that are right are
   * learnt by it. Returns the numbers of the blocks that are wrong, ascending. Writes nothing.
   * @throws RangeError when they are neither, or of another length; ParleyError CANCELLED after `close`
   */
  check(blocks: BlockRange, bytes: Buffer): number[] {
    this.#expectOpen();
    return this.#blocks.check(blocks, bytes);
  }

  /**
   * Writes a block, or `count` that stand side by side, whose digests the caller has verified. `bytes` must not change until the promise
   * settles. Returns whether this made a chunk whole. Writing a block again does nothing.
   * @throws ParleyError DISK_FULL (with a reason): the block is missing still and may be written again later, unless the file is not
   *   at its path any more, which shows a second after
   */
  async write(block: number, bytes: Uint8Array, count = 1): Promise<boolean> {
    const blocks = { first: block, count };
    const { offset } = this.#expectWritable(blocks, bytes);
    if (this.#blocks.held.hasRun(blocks)) return false;
    const write = writeFully(this.#file, bytes, offset);
    this.#writes.add(write);
    try {
      await write;
      return this.#blocks.written(blocks);
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
    const blocks = { first: block, count };
    const { offset } = this.#expectWritable(blocks, bytes);
    if (this.#blocks.held.hasRun(blocks)) return false;
    try {
      this.#file.writeNow(bytes, offset);
    } catch (error) {
      throw unwritable(this.#paths.part, error);
    }
    return this.#blocks.written(blocks);
  }

  /**
   * Counts a block, or `count` of them, whose verified bytes are in the file already. Returns whether this made a chunk whole. They are read
   * again when the file is finished.
   */
  markWritten(block: number, count = 1): boolean {
    const blocks = { first: block, count };
    this.#expectWritable(blocks);
    return this.#blocks.found(blocks);
  }

  /**
   * Has another thread check blocks that stand side by side, whose bytes (best in shared memory) came one behind another, and write
   * those that are good; returns the numbers of the others. Several blocks must be either of one chunk, or chunks of one block each, and
   * only of these the digests need not have been learnt. `bytes` must not change until the promise settles. Only with `hasThread`.
   * @throws ParleyError DISK_FULL (with a reason), as `write`
   */
  async takeIn(blocks: BlockRange, bytes: Uint8Array): Promise<number[]> {
    const thread = this.#thread;
    if (thread === undefined) throw new RangeError('there is no thread for it');
    return this.takeBy(blocks, (work) => thread.run({ ...work, bytes }));
  }

  /**
   * As `takeIn`, by whoever `doIt` gives the work to, and who gets the bytes, of all the blocks or only of the first of them. Returns the
   * numbers of those that are not there by it. The file stays open until `doIt` settles, and nobody may write to it after that. Only with
   * `isOneFile`.
   * @throws ParleyError DISK_FULL (with a reason), as `write`; what `doIt` throws and is no refusal of the file system
   */
  async takeBy(blocks: BlockRange, doIt: (work: BlockWork) => Promise<BlockJobResult>): Promise<number[]> {
    this.#expectOpen();
    this.#expectInPlace();
    const { fd } = this.#file;
    if (fd === undefined) throw new RangeError('it is not one file');
    const taking = this.#blocks.takeBy(fd, blocks, doIt);
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
    const blocks = { first: block, count };
    const chunk = chunkOfBlock(this.plan, block);
    const { offset, length } = bytesOfBlocks(this.plan, blocks);
    if (target.length - targetOffset < length) throw new RangeError(`block ${block} needs ${length} bytes of room`);
    const gone = (cause?: unknown): ParleyError =>
      new ParleyError('CHUNK_GONE', { file: basename(this.#paths.target), chunk }, { cause });
    if (!this.#blocks.held.hasRun(blocks) || this.#state === 'closed') throw gone();
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
   * Gives the complete file its name: synced, never over an existing file unless `overwrite`, and the folder synced. Blocks that were there
   * when this part was opened, that were only counted (`markWritten`), or that were written before a pause of FRESH_MS are read again first and
   * verified as they are on disk; all are when a sync failed, or the file has another length or is not at its path. That takes about 0.15 s
   * a GiB while they are in memory. Blocks can be read until `close`.
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
    if (!this.complete) throw new RangeError(`${this.plan.blocks - this.#blocks.held.count} blocks are missing`);
    await Promise.allSettled(this.#writes);
    await this.flush();
    await this.#readAgain(options);
    const published = await publishPart(this.#ends, options.overwrite ?? false);
    this.#state = 'finished';
    return { path: this.#paths.target, blockDigests: this.#blocks.digests.bytes, ...published };
  }

  /** Verifies what this part did not write itself just now. What is spoilt is missing again, also in the sidecar. */
  async #readAgain(options: FinishOptions): Promise<void> {
    const runs = this.#blocks.toReadAgain(await this.#file.isAsWritten());
    if (runs.length === 0) return;
    const spoilt = await spoiltBlocks(this.#file, this.#blocks.digests, runs, options, this.#thread);
    this.#blocks.wereRead(runs, spoilt);
    if (spoilt.length === 0) return;
    const { subject, progress } = this.#blocks;
    await this.#claims.replaceLog(await SidecarLog.create(this.#paths, subject, progress, this.#xxHash64));
    throw new ParleyError('HASH_MISMATCH', { file: basename(this.#paths.target) });
  }

  async #close(): Promise<void> {
    await this.#finishing?.catch(() => undefined);
    const finished = this.#state === 'finished';
    this.#state = 'closed';
    await Promise.allSettled(this.#writes);
    // A claim or a note that cannot be written costs a look through the file at the next start, no more.
    if (!finished) await this.#claims.seal().catch(() => undefined);
    await leavePart(this.#ends, !finished && this.#blocks.held.count === 0);
  }

  #expectWritable(blocks: BlockRange, bytes?: Uint8Array): ByteRange {
    this.#expectOpen();
    this.#expectInPlace();
    const place = bytesOfBlocks(this.plan, blocks);
    this.#blocks.expectLearnt(blocks);
    if (bytes === undefined || bytes.length === place.length) return place;
    throw new RangeError(`block ${blocks.first} has ${place.length} bytes, not ${bytes.length}`);
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
