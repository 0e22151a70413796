/** Writing the sidecar of a `.part`: records that are only ever appended, each sealed by the one before. */
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { DIGEST_BYTES } from './digest.js';
import type { XxHash64 } from './digest.js';
import type { DigestTable } from './digesttable.js';
import { writeFully } from './files.js';
import { blocksOfChunks } from './plan.js';
import type { BlockRange } from './plan.js';
import {
  CHECKSUM_BYTES,
  CHUNK_RUN_BYTES,
  encodeHeader,
  HEADER_BYTES,
  KIND,
  MAX_STAMP_BYTES,
  RECORD_BYTES,
  RECORD_HEAD_BYTES,
  RUN_BYTES,
} from './sidecar.js';
import type { Progress, Subject } from './sidecar.js';

/** Chunks whose digests go into one record when many are written at once. */
const CHUNKS_PER_RECORD = 1024;

/** A sidecar that is being appended to. */
export class SidecarLog {
  readonly #file: FileHandle;
  readonly #digests: DigestTable;
  readonly #xxHash64: XxHash64;
  #chain: bigint;
  #length: number;
  /** Records not yet in the file. */
  #queue: Buffer[] = [];
  #writing: Promise<void> | undefined;
  /** How much of the file is safe. */
  #synced = 0;
  #closed = false;

  private constructor(file: FileHandle, digests: DigestTable, xxHash64: XxHash64, header: Buffer) {
    this.#file = file;
    this.#digests = digests;
    this.#xxHash64 = xxHash64;
    this.#queue.push(header);
    this.#chain = header.readBigUInt64BE(HEADER_BYTES - CHECKSUM_BYTES);
    this.#length = 0;
  }

  /**
   * Writes a new sidecar beside the one there is and puts it in its place, so that a crash leaves the old one or the new one. Digests that
   * are noted later are taken from `progress`.
   */
  static async create(
    paths: { readonly state: string; readonly stateTemporary: string },
    subject: Subject,
    progress: Progress,
    xxHash64: XxHash64,
  ): Promise<SidecarLog> {
    await rm(paths.stateTemporary, { force: true });
    const file = await open(paths.stateTemporary, 'wx', 0o600);
    const log = new SidecarLog(file, progress.digests, xxHash64, encodeHeader(subject, xxHash64));
    try {
      for (let first = 0; first < subject.plan.chunks; first += CHUNKS_PER_RECORD) {
        const count = Math.min(CHUNKS_PER_RECORD, subject.plan.chunks - first);
        const known = [...progress.digests.chunks.runs(true, { first, count })];
        if (known.length === 0) continue;
        log.addDigests(known);
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

  /** Adds the block digests of runs of chunks, which are known. They are written soon, and safe after `sync`. */
  addDigests(chunks: readonly BlockRange[]): void {
    const { plan } = this.#digests;
    const runs = chunks.map((run) => ({ run, blocks: blocksOfChunks(plan, run) }));
    const length = runs.reduce((sum, { blocks }) => sum + CHUNK_RUN_BYTES + blocks.count * DIGEST_BYTES, 0);
    this.#append('digests', length, (payload) => {
      let at = 0;
      for (const { run, blocks } of runs) {
        at = payload.writeUInt32BE(run.first, at);
        at = payload.writeUInt32BE(run.count, at);
        at += this.#digests.copyTo(payload, at, blocks);
      }
    });
  }

  /** Claims blocks whose bytes are safely on disk. Safe after `sync`. */
  addClaim(runs: Iterable<BlockRange>): void {
    const list = [...runs];
    if (list.length === 0) return;
    this.#append('claim', list.length * RUN_BYTES, (payload) => {
      list.forEach(({ first, count }, i) => {
        payload.writeUIntBE(first, i * RUN_BYTES, 6);
        payload.writeUIntBE(count, i * RUN_BYTES + 6, 6);
      });
    });
  }

  /** Notes how the file was left. Whatever is added later breaks the seal. @throws RangeError when `stamp` is too long */
  addSeal(stamp: string): void {
    const text = Buffer.from(stamp);
    if (text.length > MAX_STAMP_BYTES) throw new RangeError(`a stamp of ${text.length} bytes`);
    this.#append('seal', text.length, (payload) => void text.copy(payload));
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

  /** `fill` writes the payload, of `length` bytes. */
  #append(kind: keyof typeof KIND, length: number, fill: (payload: Buffer) => void): void {
    const record = Buffer.allocUnsafe(RECORD_BYTES + length);
    record.writeUInt8(KIND[kind], 0);
    record.writeUInt32BE(length, 1);
    const checksumAt = RECORD_HEAD_BYTES + length;
    fill(record.subarray(RECORD_HEAD_BYTES, checksumAt));
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
