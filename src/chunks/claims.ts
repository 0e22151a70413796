/** When written blocks become claimed ones: data is synced first, then the sidecar says so, in batches (R26). */
import { mergeRuns } from './bits.js';
import { unwritable } from './fserrors.js';
import type { BlockRange } from './plan.js';
import type { SidecarLog } from './sidecarlog.js';
import type { PartStore } from './store.js';

/** Bytes written before they are synced and claimed: rare enough to cost little, often enough that a power cut costs little. */
export const CLAIM_BYTES = 64 * 1024 * 1024;
/** Milliseconds after which a written block is synced and claimed, however few there are. */
export const CLAIM_AFTER_MS = 1000;

/** Chunks of one block whose digests make one record: thousands are learnt a second, and each record is a write of its own. */
const LEARNT_TOGETHER = 256;
/** Bytes written after which they are noted, however few they are: without its digest a block is not found again after a kill. */
const LEARNT_BYTES = 4 * 1024 * 1024;

/** The blocks of an open file that are written and not claimed yet, and the sidecar that will claim them. */
export class Claims {
  readonly #path: string;
  readonly #file: Pick<PartStore, 'datasync' | 'isInPlace' | 'stamp'>;
  #log: SidecarLog;
  /** Runs of chunks whose digests are known and not noted yet. */
  #learnt: BlockRange[] = [];
  #learntCount = 0;
  /** Bytes written since digests were noted. */
  #unnotedBytes = 0;
  #runs: BlockRange[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #isLost = false;
  #wasRefused = false;

  /** `path` is that of `file`, for errors. Owns `log`. */
  constructor(path: string, file: Pick<PartStore, 'datasync' | 'isInPlace' | 'stamp'>, log: SidecarLog) {
    this.#path = path;
    this.#file = file;
    this.#log = log;
  }

  /** Whether the file was found to be at its path no more, when something was last claimed. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Whether what was written could not be synced at some time: a later sync says nothing of it. */
  get wasRefused(): boolean {
    return this.#wasRefused;
  }

  /** Whether it is at its path now. */
  async isInPlace(): Promise<boolean> {
    const isThere = await this.#file.isInPlace();
    this.#isLost = !isThere;
    return isThere;
  }

  /** Takes blocks, `bytes` in all, that were handed to the file system. */
  add(blocks: BlockRange, bytes: number): void {
    this.#runs.push(blocks);
    this.#bytes += bytes;
    this.#unnotedBytes += bytes;
    if (this.#unnotedBytes >= LEARNT_BYTES) this.#noteDigests();
    if (this.#bytes >= CLAIM_BYTES) this.#flushUnheard();
    else this.#timer ??= setTimeout(() => this.#flushUnheard(), CLAIM_AFTER_MS).unref();
  }

  /**
   * Takes chunks, of `blocks` blocks in all, whose digests the sidecar's table has now. Those of chunks of one block are noted together: some
   * are lost in a crash, as those blocks are that are not claimed.
   */
  addDigests(chunks: BlockRange, blocks: number): void {
    this.#learnt.push(chunks);
    this.#learntCount += chunks.count;
    if (blocks > chunks.count || this.#learntCount >= LEARNT_TOGETHER) this.#noteDigests();
  }

  /**
   * Claims what was written, when it is safe.
   * @throws ParleyError DISK_FULL (with a reason): nothing is lost, and it may be called again
   */
  flush(): Promise<void> {
    const flush = this.#flushing.then(() => this.#flushOnce());
    this.#flushing = flush.catch(() => undefined);
    return flush;
  }

  /**
   * Claims what was written, and notes how the file is left, by which it is known again without reading it. Nothing may be written
   * afterwards.
   * @throws ParleyError DISK_FULL (with a reason): then nothing is noted
   */
  async seal(): Promise<void> {
    await this.flush();
    const stamp = await this.#file.stamp?.();
    if (stamp === undefined) return;
    this.#log.addSeal(stamp);
    await this.#log.sync();
  }

  /** Goes on with a sidecar that was written anew. Only right after a flush. */
  async replaceLog(log: SidecarLog): Promise<void> {
    const old = this.#log;
    this.#log = log;
    await old.close();
  }

  /** Does not flush. May be called again. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#flushing;
    await this.#log.close();
  }

  // A failure is left to the next flush: after more writes, or the owner's, who is told.
  #flushUnheard(): void {
    this.flush().catch(() => undefined);
  }

  #noteDigests(): void {
    if (this.#learnt.length > 0) this.#log.addDigests(mergeRuns(this.#learnt));
    this.#learnt = [];
    this.#learntCount = 0;
    this.#unnotedBytes = 0;
  }

  async #flushOnce(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const runs = this.#runs;
    const bytes = this.#bytes;
    this.#runs = [];
    this.#bytes = 0;
    try {
      if (runs.length > 0) {
        await this.#file.datasync();
        await this.isInPlace();
      }
    } catch (error) {
      this.#wasRefused = true;
      this.#runs = [...runs, ...this.#runs];
      this.#bytes += bytes;
      throw unwritable(this.#path, error);
    }
    this.#noteDigests();
    this.#log.addClaim(mergeRuns(runs));
    if (!this.#log.dirty) return;
    await this.#log.sync().catch((error: unknown) => {
      throw unwritable(this.#path, error);
    });
  }
}
