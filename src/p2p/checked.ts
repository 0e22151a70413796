/** Blocks that are checked against the manifest, whoever sent them, and written. */
import type { BlockWork } from '../chunks/blockjob.js';
import type { Part } from '../chunks/part.js';
import { blockPlace, blocksOfChunk, bytesOfBlocks, spansOf } from '../chunks/plan.js';
import type { BlockRange } from '../chunks/plan.js';
import type { Clock } from '../protocol/clock.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import type { Digest } from '../protocol/values.js';
import type { Came, Pieces } from './arrivingpieces.js';
import { giveBuffer, takeBuffer } from './blockbuffers.js';
import { BlockWriter } from './blockwriter.js';
import { askBlocks, askDigests } from './fetch.js';
import type { Holder } from './holders.js';
import type { HolderLink, TakenFailure, TakenIn } from './link.js';

/** Where blocks go; one that is a file on disk may have a thread for it. */
export type BlockTarget = Pick<Part, 'plan' | 'blockDigests' | 'learn' | 'check' | 'write' | 'writeNow'> &
  Partial<Pick<Part, 'hasThread' | 'takeIn' | 'isOneFile' | 'takeBy'>>;

export interface CheckedOptions {
  readonly file: string;
  readonly root: Digest;
  readonly part: BlockTarget;
  readonly clock: Clock;
  /** A good block could not be written. */
  readonly onUnwritable: (error: ParleyError) => void;
}

/** What became of the blocks of a piece: which are not there by it, and which of them was not what it should be. */
interface Taken {
  readonly without: readonly number[];
  readonly lie: number | undefined;
}

/** What became of the blocks of a run. */
export interface RunOutcome {
  /** Those that are not there by it, ascending. */
  readonly without: readonly number[];
  /** What its sender failed in, and with which of the blocks; nothing when the disk did. */
  readonly failure: { readonly error: ParleyError; readonly blocks: BlockRange } | undefined;
}

export class CheckedBlocks {
  readonly #options: CheckedOptions;
  readonly #writer: BlockWriter;
  /** Block digests that are being asked for, by chunk: one question is enough for all its blocks. */
  readonly #asking = new Map<number, Promise<void>>();

  constructor(options: CheckedOptions) {
    this.#options = options;
    this.#writer = new BlockWriter(options.part, options.clock);
  }

  /**
   * Gets a run of blocks from a holder, checks them and writes the good ones; `onCame` is called when the last of them came and any with it was
   * good, before it is written. They are all of one chunk, or each alone in its chunk. `onUnwritable` is told when they could not be written.
   * @throws ParleyError HASH_MISMATCH when the holder lied about digests; what it refuses to give those with; PEER_UNREACHABLE; CANCELLED
   */
  async fetch(holder: Holder, run: BlockRange, signal: AbortSignal, onCame: () => void): Promise<RunOutcome> {
    const { part, root } = this.#options;
    const { chunk, indexInChunk } = blockPlace(part.plan, run.first);
    // The only block of its chunk is checked by the chunk's digest: there is nothing to ask first.
    if (blocksOfChunk(part.plan, chunk).count > 1) await this.#learnDigests(holder, chunk, signal);
    const params = { root, chunk, block: indexInChunk, ...(run.count > 1 && { count: run.count }) };
    return awaiting(holder, ({ connection, takeBlocks }) =>
      takeBlocks !== undefined && part.isOneFile === true
        ? this.#takeElsewhere(run, (work) => takeBlocks(params, work, signal), onCame)
        : this.#takeHere(run, (pieces) => askBlocks(connection, params, pieces, signal), onCame),
    );
  }

  /** Whatever becomes of it on this thread, or on the one that the part has for it. */
  async #takeHere(
    run: BlockRange,
    ask: (pieces: Pieces<Taken>) => Promise<Came<Taken>>,
    onCame: () => void,
  ): Promise<RunOutcome> {
    const spans = [...spansOf(this.#options.part.plan, run)];
    const take = async (came: Buffer, piece: number): Promise<Taken> => {
      const { blocks } = spans[piece] ?? { blocks: run };
      try {
        const bad = await this.#takeIn(blocks, came, piece === spans.length - 1 ? onCame : ignore);
        return { without: bad, lie: bad[0] };
      } catch (thrown) {
        this.#options.onUnwritable(toParleyError(thrown));
        return { without: numbersOf(blocks), lie: undefined };
      } finally {
        giveBuffer(came);
      }
    };
    const { taken, failure } = await ask({
      bytes: spans.map(({ length }) => length),
      into: takeBuffer,
      take,
      goesOn: ({ without }) => without.length === 0,
    });
    const without = spans.flatMap(({ blocks }, piece) => taken[piece]?.without ?? numbersOf(blocks));
    const lie = taken.find((each) => each.lie !== undefined)?.lie;
    return { without, failure: this.#failureOf(run, lie, failure) };
  }

  /** Where another thread has the holder's link. */
  async #takeElsewhere(
    run: BlockRange,
    take: (work: BlockWork) => Promise<TakenIn>,
    onCame: () => void,
  ): Promise<RunOutcome> {
    let failure: TakenFailure | undefined;
    let lie = -1;
    try {
      const without = await this.#options.part.takeBy?.(run, async (work) => {
        const taken = await take(work).catch((thrown: unknown) => nothingTaken(toParleyError(thrown)));
        failure = taken.failure;
        if (failure?.kind === 'unwritable') throw failure.error;
        lie = taken.result.good.indexOf(false);
        return taken.result;
      });
      if (without?.length === 0) onCame();
      return {
        without: without ?? numbersOf(run),
        failure: this.#failureOf(run, lie < 0 ? undefined : run.first + lie, failure),
      };
    } catch (thrown) {
      this.#options.onUnwritable(toParleyError(thrown));
      return { without: numbersOf(run), failure: undefined };
    }
  }

  #failureOf(run: BlockRange, lie: number | undefined, failure: TakenFailure | undefined): RunOutcome['failure'] {
    if (lie !== undefined) return { blocks: { first: lie, count: 1 }, error: this.#lie() };
    if (failure === undefined) return undefined;
    return { blocks: run, error: failure.kind === 'wrong length' ? this.#lie() : toParleyError(failure.error) };
  }

  /** What bytes that are not what they should be fail with. */
  #lie(): ParleyError {
    return new ParleyError('HASH_MISMATCH', { file: this.#options.file });
  }

  /** Checks what came of a run and writes what is good of it; the blocks that are not. */
  async #takeIn(run: BlockRange, came: Buffer, onGood: () => void): Promise<readonly number[]> {
    const { part } = this.#options;
    if (part.hasThread === true && part.takeIn !== undefined) {
      const bad = await part.takeIn(run, came);
      if (bad.length < run.count) onGood();
      return bad;
    }
    const bad = part.check(run, came);
    if (bad.length === run.count) return bad;
    onGood();
    if (bad.length === 0) {
      await this.#writer.write(run.first, came, run.count);
      return bad;
    }
    const { offset } = bytesOfBlocks(part.plan, run);
    for (let block = run.first; block < run.first + run.count; block += 1) {
      if (bad.includes(block)) continue;
      const place = blockPlace(part.plan, block);
      const at = place.offset - offset;
      await this.#writer.write(block, came.subarray(at, at + place.length));
    }
    return bad;
  }

  /** Makes sure that the chunk's block digests are known, from whichever holder. */
  async #learnDigests(holder: Holder, chunk: number, signal: AbortSignal): Promise<void> {
    const { part } = this.#options;
    while (part.blockDigests(chunk) === undefined) {
      if (signal.aborted) throw new ParleyError('CANCELLED');
      const asking = this.#asking.get(chunk);
      if (asking !== undefined) {
        await asking.catch(() => undefined);
        continue;
      }
      const mine = this.#askDigests(holder, chunk, signal).finally(() => this.#asking.delete(chunk));
      this.#asking.set(chunk, mine);
      await mine;
    }
  }

  async #askDigests(holder: Holder, chunk: number, signal: AbortSignal): Promise<void> {
    const { part, root } = this.#options;
    const blocks = blocksOfChunk(part.plan, chunk).count;
    const digests = await awaiting(holder, ({ connection }) => askDigests(connection, { root, chunk }, blocks, signal));
    if (digests === undefined) throw this.#lie();
    part.learn(chunk, digests);
  }
}

/** Asks over the holder's link, and has it watched as long as bytes are owed. @throws ParleyError CANCELLED without a link */
async function awaiting<T>(holder: Holder, ask: (link: HolderLink) => Promise<T>): Promise<T> {
  if (holder.state.kind !== 'linked') throw new ParleyError('CANCELLED');
  holder.awaiting += 1;
  try {
    return await ask(holder.state.link);
  } finally {
    holder.awaiting -= 1;
  }
}

function nothingTaken(error: ParleyError): TakenIn {
  return { result: { good: [], digests: Buffer.alloc(0) }, failure: { kind: 'refused', error } };
}

function numbersOf({ first, count }: BlockRange): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

const ignore = (): void => undefined;
