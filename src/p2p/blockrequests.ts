/** What is asked of one holder: small blocks that stand side by side go out as one request. */
import { ParleyError } from '../protocol/errors.js';
import { BLOCK_BYTES } from '../protocol/limits.js';

/** Requests for small blocks that are open at once: while these are answered, those that wait become longer. */
const MAX_OPEN = 3;

/** A block that is wanted of a holder. */
export interface WantedBlock {
  /** Its number in the file, and its bytes. */
  readonly block: number;
  readonly bytes: number;
  readonly signal: AbortSignal;
  /** Its bytes are here, and right. */
  readonly onGood: () => void;
}

/** Several of them side by side, together at most BLOCK_BYTES. */
export type Run = readonly [WantedBlock, ...WantedBlock[]];

interface Waiting extends WantedBlock {
  readonly resolve: (isKept: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** What became of the blocks of a run. */
export interface RunOutcome {
  /** The disk did not take them. */
  readonly isKept: boolean;
  /** Those that were not what they should be. */
  readonly bad: readonly number[];
}

export interface BlockRequestsOptions {
  /** Asks for a run, calls `onAnswer` when its bytes are here, and checks and writes it. */
  readonly fetch: (run: Run, onAnswer: () => void) => Promise<RunOutcome>;
  /** What a bad block fails with. */
  readonly lie: () => ParleyError;
}

export class BlockRequests {
  readonly #options: BlockRequestsOptions;
  #waiting: Waiting[] = [];
  #open = 0;
  #isSoon = false;

  constructor(options: BlockRequestsOptions) {
    this.#options = options;
  }

  /**
   * `canJoin`: its chunk has no other block. Resolves when it is kept, or not, because the disk does not take it.
   * @throws ParleyError what `fetch` throws; CANCELLED
   */
  add(wanted: WantedBlock, canJoin: boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { ...wanted, resolve, reject };
      if (!canJoin || wanted.bytes > BLOCK_BYTES / 2) {
        void this.#fetch([waiting]);
        return;
      }
      this.#waiting.push(waiting);
      this.#sendSoon();
    });
  }

  /** What else is asked for in this turn goes out with it. */
  #sendSoon(): void {
    if (this.#isSoon || this.#open >= MAX_OPEN) return;
    this.#isSoon = true;
    setImmediate(() => {
      this.#isSoon = false;
      this.#send();
    });
  }

  #send(): void {
    const wanted: Waiting[] = [];
    for (const each of this.#waiting) {
      if (each.signal.aborted) each.reject(new ParleyError('CANCELLED'));
      else wanted.push(each);
    }
    wanted.sort((a, b) => a.block - b.block);
    let next = 0;
    for (let first = wanted[0]; first !== undefined && this.#open < MAX_OPEN; first = wanted[next]) {
      const run: [Waiting, ...Waiting[]] = [first];
      let { bytes, block } = first;
      for (let more = wanted[++next]; more?.block === block + 1; more = wanted[++next]) {
        if (bytes + more.bytes > BLOCK_BYTES) break;
        run.push(more);
        bytes += more.bytes;
        block += 1;
      }
      this.#open += 1;
      void this.#fetch(run, () => {
        this.#open -= 1;
        if (this.#waiting.length > 0) this.#sendSoon();
      });
    }
    this.#waiting = wanted.slice(next);
  }

  /** Never rejects. `answered`: when there is room for another request. */
  async #fetch(run: readonly [Waiting, ...Waiting[]], answered: () => void = () => undefined): Promise<void> {
    let isOpen = true;
    const done = (): void => {
      if (isOpen) answered();
      isOpen = false;
    };
    try {
      const { isKept, bad } = await this.#options.fetch(run, done);
      for (const each of run) {
        if (bad.includes(each.block)) each.reject(this.#options.lie());
        else each.resolve(isKept);
      }
    } catch (error) {
      done();
      // It may be one of them only that is not there.
      const isOne = run.length === 1 || !(error instanceof ParleyError) || error.code !== 'CHUNK_GONE';
      if (isOne) for (const each of run) each.reject(error);
      else for (const each of run) void this.#fetch([each]);
    }
  }
}
