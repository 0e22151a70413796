/** What a download wants, what of it is here, and how fast it comes. */
import type { Part } from '../chunks/part.js';
import { blockPlace, blocksOfChunk, chunkRange } from '../chunks/plan.js';
import type { Clock } from '../protocol/clock.js';
import { BLOCK_BYTES } from '../protocol/limits.js';
import type { Holder } from './holders.js';
import type { BlockRef } from './picker.js';
import { RateMeter } from './rate.js';

export interface DownloadProgress {
  /** Bytes of the wanted chunks. */
  readonly sizeBytes: number;
  /** Verified bytes of them that are here. */
  readonly bytes: number;
  /** Bytes a second over the last seconds. */
  readonly rate: number;
  /** Seconds that the rest takes at this rate; undefined when that cannot be known. */
  readonly secondsLeft: number | undefined;
  /** Who sent at least one good block, in the order they were found. */
  readonly sources: readonly SourceProgress[];
}
export interface SourceProgress {
  readonly user: string;
  /** Verified bytes that came from there. */
  readonly bytes: number;
  readonly rate: number;
}

export class Ledger {
  readonly sizeBytes: number;
  /** Wanted chunks that are not whole. */
  readonly wanted = new Set<number>();
  readonly #part: Pick<Part, 'plan' | 'has' | 'hasChunk' | 'missing'>;
  readonly #meter: RateMeter;
  readonly #finished: number[] = [];
  #bytes: number;

  constructor(part: Pick<Part, 'plan' | 'has' | 'hasChunk' | 'missing'>, chunks: Iterable<number>, clock: Clock) {
    this.#part = part;
    this.#meter = new RateMeter(clock);
    let sizeBytes = 0;
    let missingBytes = 0;
    for (const chunk of new Set(chunks)) {
      sizeBytes += chunkRange(part.plan, chunk).length;
      if (part.hasChunk(chunk)) continue;
      this.wanted.add(chunk);
      for (const block of part.missing(chunk)) missingBytes += blockPlace(part.plan, block).length;
    }
    this.sizeBytes = sizeBytes;
    this.#bytes = sizeBytes - missingBytes;
  }

  /** Chunks made whole so far, ascending. */
  get finished(): readonly number[] {
    return [...this.#finished].sort((a, b) => a - b);
  }

  blocksOf(chunk: number): number {
    return blocksOfChunk(this.#part.plan, chunk).count;
  }

  /** Bytes of the largest block. */
  get largestBlock(): number {
    return Math.min(BLOCK_BYTES, this.#part.plan.shortChunkBytes + 1);
  }

  /** The block's number in the file. */
  numberOf({ chunk, block }: BlockRef): number {
    return blocksOfChunk(this.#part.plan, chunk).first + block;
  }

  bytesOf(ref: BlockRef): number {
    return blockPlace(this.#part.plan, this.numberOf(ref)).length;
  }

  isHeld(ref: BlockRef): boolean {
    return this.#part.has(this.numberOf(ref));
  }

  /** A block came from `holder` and was written. */
  note(ref: BlockRef, holder: Holder, chunkComplete: boolean): void {
    const bytes = this.bytesOf(ref);
    this.#bytes += bytes;
    this.#meter.add(bytes);
    holder.meter.add(bytes);
    if (!chunkComplete) return;
    this.wanted.delete(ref.chunk);
    this.#finished.push(ref.chunk);
  }

  progress(holders: readonly Holder[]): DownloadProgress {
    const rate = this.#meter.rate();
    const left = this.sizeBytes - this.#bytes;
    return {
      sizeBytes: this.sizeBytes,
      bytes: this.#bytes,
      rate,
      secondsLeft: left === 0 ? 0 : rate === 0 ? undefined : Math.ceil(left / rate),
      sources: holders
        .filter(({ meter }) => meter.total > 0)
        .map(({ user, meter }) => ({ user, bytes: meter.total, rate: meter.rate() })),
    };
  }
}
