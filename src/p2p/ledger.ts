/** What a download wants, what of it is here, and how fast it comes. */
import { BitSet } from '../chunks/bits.js';
import type { Part } from '../chunks/part.js';
import { blockPlace, blocksOfChunk, chunkRange } from '../chunks/plan.js';
import type { Clock } from '../protocol/clock.js';
import { BLOCK_BYTES } from '../protocol/limits.js';
import type { Holder } from './holders.js';
import { RateMeter } from './rate.js';

/** A block as it is asked for: its chunk, and its number there. */
export interface BlockRef {
  readonly chunk: number;
  readonly block: number;
}

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
  /** Their blocks that are not here, by number in the file. */
  readonly missing: BitSet;
  readonly #part: Pick<Part, 'plan' | 'has' | 'hasChunk' | 'missing'>;
  readonly #meter: RateMeter;
  readonly #finished: number[] = [];
  #bytes: number;

  constructor(part: Pick<Part, 'plan' | 'has' | 'hasChunk' | 'missing'>, chunks: Iterable<number>, clock: Clock) {
    this.#part = part;
    this.#meter = new RateMeter(clock);
    this.missing = new BitSet(part.plan.blocks);
    let sizeBytes = 0;
    let missingBytes = 0;
    for (const chunk of new Set(chunks)) {
      sizeBytes += chunkRange(part.plan, chunk).length;
      if (part.hasChunk(chunk)) continue;
      this.wanted.add(chunk);
      for (const block of part.missing(chunk)) {
        this.missing.add(block);
        missingBytes += this.bytesOf(block);
      }
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

  /** How the block is asked for. */
  refOf(block: number): BlockRef {
    const { chunk, indexInChunk } = blockPlace(this.#part.plan, block);
    return { chunk, block: indexInChunk };
  }

  bytesOf(block: number): number {
    return blockPlace(this.#part.plan, block).length;
  }

  /** The chunks that these blocks are of, ascending. */
  chunksOf(blocks: BitSet): number[] {
    const chunks = new Set<number>();
    for (const { first, count } of blocks.runs()) {
      for (let chunk = this.refOf(first).chunk; chunk <= this.refOf(first + count - 1).chunk; chunk += 1)
        chunks.add(chunk);
    }
    return [...chunks];
  }

  /** A block came from `holder` and was written. Returns its chunk when that is whole now. */
  note(block: number, holder: Holder): number | undefined {
    const bytes = this.bytesOf(block);
    this.missing.delete(block);
    this.#bytes += bytes;
    this.#meter.add(bytes);
    holder.meter.add(bytes);
    const { chunk } = this.refOf(block);
    if (!this.#part.hasChunk(chunk)) return undefined;
    this.wanted.delete(chunk);
    this.#finished.push(chunk);
    return chunk;
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
