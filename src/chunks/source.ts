/** A file that was promised to others: read for serving, and never served once it changed (R16). */
import { fstatSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import { identityOf, openRegular, readFully, sameIdentity } from './files.js';
import type { FileIdentity } from './files.js';
import { blockPlace, bytesOfBlocks } from './plan.js';
import type { Plan } from './plan.js';

/** What a source is opened by: where the file is, what it was when it was hashed, and how it is cut. */
export interface SourceOptions {
  readonly path: string;
  readonly identity: FileIdentity;
  readonly plan: Plan;
}

/** How long it may take to notice that a path leads to another file; the open one still has the promised bytes. */
const PATH_CHECK_MS = 100;

/** A promised file, open for serving. Once it was found changed it stays gone: hash it again and open a new source. */
export class Source {
  readonly plan: Plan;
  readonly path: string;
  readonly #identity: FileIdentity;
  readonly #file: FileHandle;
  #state: 'open' | 'gone' | 'closed' = 'open';
  #pathCheckedAt = performance.now();

  private constructor(options: SourceOptions, file: FileHandle) {
    this.plan = options.plan;
    this.path = options.path;
    this.#identity = options.identity;
    this.#file = file;
  }

  /** @throws ParleyError CHUNK_GONE when the file is missing or not the promised one any more */
  static async open(options: SourceOptions): Promise<Source> {
    const file = await openRegular(options.path).catch((error: unknown) => {
      throw gone(options.path, 0, error);
    });
    const source = new Source(options, file);
    try {
      if (source.#handleUnchanged()) return source;
    } catch {
      // Gone just now.
    }
    await source.close();
    throw gone(options.path, 0);
  }

  /**
   * Reads block `block`, or `count` of them, into `target` from `targetOffset` on and returns how many bytes these are. They are those of the
   * promised file: it is looked at after each read, so a change before or during the read refuses it.
   * @throws ParleyError CHUNK_GONE when the file changed or the source is closed; RangeError when `target` is too short
   */
  async read(block: number, target: Uint8Array, targetOffset = 0, count = 1): Promise<number> {
    const { chunk } = blockPlace(this.plan, block);
    const { offset, length } = bytesOfBlocks(this.plan, { first: block, count });
    if (target.length - targetOffset < length) throw new RangeError(`block ${block} needs ${length} bytes of room`);
    if (this.#state !== 'open') throw gone(this.path, chunk);
    try {
      const [read, pathUnchanged] = await Promise.all([
        readFully(this.#file, target, targetOffset, length, offset),
        // Never rejects: nobody may get the buffer back while the read still fills it.
        this.#pathUnchanged().catch(() => false),
      ]);
      if (read === length && pathUnchanged && this.#handleUnchanged()) return length;
    } catch (error) {
      this.#lose();
      throw gone(this.path, chunk, error);
    }
    this.#lose();
    throw gone(this.path, chunk);
  }

  /** True until a change was found or the source was closed. */
  get usable(): boolean {
    return this.#state === 'open';
  }

  /** Waits for the reads under way. May be called again. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    await this.#file.close();
  }

  #lose(): void {
    if (this.#state === 'open') this.#state = 'gone';
  }

  // Cut short or edited in place: shows in the open file.
  #handleUnchanged(): boolean {
    // The open file's metadata is in memory: asking the thread pool would cost ten times what it takes.
    return sameIdentity(identityOf(fstatSync(this.#file.fd, { bigint: true })), this.#identity);
  }

  // Replaced or deleted: shows at the path only.
  async #pathUnchanged(): Promise<boolean> {
    const now = performance.now();
    if (now - this.#pathCheckedAt < PATH_CHECK_MS) return true;
    this.#pathCheckedAt = now;
    return sameIdentity(identityOf(await stat(this.path, { bigint: true })), this.#identity);
  }
}

/**
 * Opens a promised file for serving.
 * @throws ParleyError CHUNK_GONE when the file is missing or not the promised one any more
 */
export function openSource(options: SourceOptions): Promise<Source> {
  return Source.open(options);
}

function gone(path: string, chunk: number, cause?: unknown): ParleyError {
  return new ParleyError('CHUNK_GONE', { file: basename(path), chunk }, { cause });
}
