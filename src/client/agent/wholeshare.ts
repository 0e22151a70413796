/** Whole files and folders as shares: opened when somebody asks, closed when nobody does, and never served once they changed. */
import { BitSet } from '../../chunks/bits.js';
import type { Source } from '../../chunks/source.js';
import type { BlockRange, Plan } from '../../chunks/plan.js';
import type { Clock } from '../../protocol/clock.js';
import { ParleyError } from '../../protocol/errors.js';
import type { Digest } from '../../protocol/values.js';
import type { Share } from '../../p2p/share.js';
import type { DigestStore } from './digeststore.js';

/** Milliseconds after the last read that a file stays open. */
const IDLE_CLOSE_MS = 10_000;

/** What is read while it is served. */
export type ServedSource = Pick<Source, 'read' | 'close'>;

export interface WholeShareOptions {
  readonly file: string;
  readonly root: Digest;
  readonly plan: Plan;
  /** Opens it. @throws ParleyError CHUNK_GONE when it is not what was promised */
  readonly open: () => Promise<ServedSource>;
  readonly digests: DigestStore;
  readonly clock: Clock;
  /**
   * Called once, when the file is not what it was, or cannot be read: finds out, and puts a new share in the place of this one when
   * the bytes are the same. Never rejects.
   */
  readonly onSuspect: () => Promise<void>;
}

export class WholeShare implements Share {
  readonly file: string;
  readonly plan: Plan;
  readonly #options: WholeShareOptions;
  #all: BitSet | undefined;
  #source: Promise<ServedSource> | undefined;
  #reading = 0;
  #cancelClose: () => void = () => undefined;
  #suspicion: Promise<void> | undefined;
  #closed = false;

  constructor(options: WholeShareOptions) {
    this.#options = options;
    this.file = options.file;
    this.plan = options.plan;
  }

  /** False once it is known that the file is another one now. */
  get usable(): boolean {
    return !this.#closed;
  }

  heldChunks(): Buffer {
    return (this.usable ? BitSet.full(this.plan.chunks) : new BitSet(this.plan.chunks)).toBytes();
  }

  heldBlocks(): BitSet {
    if (!this.usable) return new BitSet(this.plan.blocks);
    return (this.#all ??= BitSet.full(this.plan.blocks));
  }

  lacks(blocks: BlockRange): number | undefined {
    return this.heldBlocks().lacks(blocks);
  }

  coming(): readonly BlockRange[] {
    return [];
  }

  blockDigests(chunk: number): Buffer | undefined {
    const { digests, root } = this.#options;
    return digests.read(root, this.plan, chunk);
  }

  /** @throws ParleyError CHUNK_GONE once it is decided what became of the file: another share may have its bytes then */
  async read(block: number, target: Uint8Array, targetOffset: number, count = 1): Promise<number> {
    if (this.#closed || this.#suspicion !== undefined) return this.#gone();
    this.#cancelClose();
    this.#reading += 1;
    try {
      this.#source ??= this.#options.open();
      return await (await this.#source).read(block, target, targetOffset, count);
    } catch (thrown) {
      return await this.#gone(thrown);
    } finally {
      this.#reading -= 1;
      if (this.#reading === 0) this.#closeLater();
    }
  }

  /** Serves no more, and closes the file after the reads under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#closeSource();
  }

  async #gone(cause?: unknown): Promise<never> {
    if (!this.#closed) await (this.#suspicion ??= this.#options.onSuspect());
    throw new ParleyError('CHUNK_GONE', { file: this.file, chunk: 0 }, { cause });
  }

  #closeLater(): void {
    this.#cancelClose = this.#options.clock.after(IDLE_CLOSE_MS, () => void this.#closeSource());
  }

  async #closeSource(): Promise<void> {
    this.#cancelClose();
    const source = this.#source;
    this.#source = undefined;
    await source?.then((each) => each.close()).catch(() => undefined);
  }
}
