/** What a download wants, what of it is here, and how fast it comes. */
import { BitSet } from '../chunks/bits.js';
import type { Part } from '../chunks/part.js';
import { blockLength, blocksOfChunks, bytesOfBlocks, chunkOfBlock } from '../chunks/plan.js';
import type { BlockRange } from '../chunks/plan.js';
import type { Clock } from '../protocol/clock.js';
import type { Holder } from './holders.js';
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
  /** Blocks of the wanted chunks that are not here, by number in the file. */
  readonly missing: BitSet;
  readonly #part: Pick<Part, 'plan' | 'hasChunk'>;
  readonly #meter: RateMeter;
  readonly #finished: BitSet;
  #bytes: number;

  constructor(part: Pick<Part, 'plan' | 'heldBlocks' | 'hasChunk'>, chunks: BitSet, clock: Clock) {
    this.#part = part;
    this.#meter = new RateMeter(clock);
    this.missing = new BitSet(part.plan.blocks);
    this.#finished = new BitSet(part.plan.chunks);
    let sizeBytes = 0;
    let missingBytes = 0;
    for (const run of part.plan.blocks === 0 ? [] : chunks.runs()) {
      const blocks = blocksOfChunks(part.plan, run);
      sizeBytes += this.bytesOfRun(blocks);
      for (const lacking of part.heldBlocks.runs(false, blocks)) {
        this.missing.addRun(lacking);
        missingBytes += this.bytesOfRun(lacking);
      }
    }
    this.sizeBytes = sizeBytes;
    this.#bytes = sizeBytes - missingBytes;
  }

  /** Chunks made whole so far, for reading. */
  get finished(): BitSet {
    return this.#finished;
  }

  bytesOf(block: number): number {
    return blockLength(this.#part.plan, block);
  }

  bytesOfRun(run: BlockRange): number {
    return bytesOfBlocks(this.#part.plan, run).length;
  }

  /** The chunks that these blocks are of, ascending. */
  chunksOf(blocks: BitSet): number[] {
    const chunks = new Set<number>();
    for (const { first, count } of blocks.runs()) {
      const last = this.#chunkOf(first + count - 1);
      for (let chunk = this.#chunkOf(first); chunk <= last; chunk += 1) chunks.add(chunk);
    }
    return [...chunks];
  }

  /** A run came from `holder` and was written, but for its `bad` blocks. Returns the chunks that are whole now. */
  note(run: BlockRange, bad: readonly number[], holder: Holder): readonly number[] {
    const bytes = this.bytesOfRun(run) - bad.reduce((sum, block) => sum + this.bytesOf(block), 0);
    const end = run.first + run.count;
    for (let block = run.first; block < end; block += 1) if (!bad.includes(block)) this.missing.delete(block);
    this.#bytes += bytes;
    this.#meter.add(bytes);
    holder.meter.add(bytes);
    const whole: number[] = [];
    const last = this.#chunkOf(end - 1);
    for (let chunk = this.#chunkOf(run.first); chunk <= last; chunk += 1) {
      if (this.#part.hasChunk(chunk) && this.#finished.add(chunk)) whole.push(chunk);
    }
    return whole;
  }

  #chunkOf(block: number): number {
    return chunkOfBlock(this.#part.plan, block);
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
