/** Blocks that are checked against the manifest, whoever sent them, and written. */
import type { BlockWork } from '../chunks/blockjob.js';
import type { Part } from '../chunks/part.js';
import { blockPlace, blocksOfChunk, bytesOfBlocks } from '../chunks/plan.js';
import type { BlockRange } from '../chunks/plan.js';
import type { Clock } from '../protocol/clock.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import type { Digest } from '../protocol/values.js';
import { giveBuffer, takeBuffer } from './blockbuffers.js';
import { BlockWriter } from './blockwriter.js';
import { askBlocks, askDigests } from './fetch.js';
import type { Came } from './fetch.js';
import type { Holder } from './holders.js';
import type { HolderLink, TakenIn } from './link.js';

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

/** What became of the blocks of a run. */
export interface RunOutcome {
  /** Whether the disk took those that were good. */
  readonly isKept: boolean;
  /** Those that were not what they should be. */
  readonly bad: readonly number[];
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
   * Gets a run of blocks from a holder, checks them and writes the good ones; `onGood` is called before that, when at least one is. They
   * are all of one chunk, or each alone in its chunk. Not kept when they could not be written, which `onUnwritable` was told.
   * @throws ParleyError HASH_MISMATCH when the holder lied about digests or lengths; what it refuses with; PEER_UNREACHABLE; CANCELLED
   */
  async fetch(holder: Holder, run: BlockRange, signal: AbortSignal, onGood: () => void): Promise<RunOutcome> {
    const { part, root } = this.#options;
    const { chunk, indexInChunk } = blockPlace(part.plan, run.first);
    // The only block of its chunk is checked by the chunk's digest: there is nothing to ask first.
    if (blocksOfChunk(part.plan, chunk).count > 1) await this.#learnDigests(holder, chunk, signal);
    const { length } = bytesOfBlocks(part.plan, run);
    const params = { root, chunk, block: indexInChunk, ...(run.count > 1 && { count: run.count }) };
    const takeBlocks = holder.state.kind === 'linked' ? holder.state.link.takeBlocks : undefined;
    if (takeBlocks !== undefined && part.isOneFile === true) {
      const taken = (work: BlockWork): Promise<TakenIn> => this.#ask(holder, () => takeBlocks(params, work, signal));
      return this.#takenElsewhere(run, taken, onGood);
    }
    const take = async (came: Buffer): Promise<RunOutcome> => {
      try {
        return { isKept: true, bad: await this.#takeIn(run, came, onGood) };
      } catch (thrown) {
        this.#options.onUnwritable(toParleyError(thrown));
        return { isKept: false, bad: [] };
      } finally {
        giveBuffer(came);
      }
    };
    return this.#came(holder, ({ connection }) =>
      askBlocks(connection, params, length, () => takeBuffer(length), take, signal),
    );
  }

  /** What bytes that are not what they should be fail with. */
  lie(): ParleyError {
    return new ParleyError('HASH_MISMATCH', { file: this.#options.file });
  }

  /** The same where another thread has the holder's link, and does all of it. */
  async #takenElsewhere(
    run: BlockRange,
    take: (work: BlockWork) => Promise<TakenIn>,
    onGood: () => void,
  ): Promise<RunOutcome> {
    // What the other end refuses with is no refusal of the file system.
    let failed: unknown;
    try {
      const bad = await this.#options.part.takeBy?.(run, async (work) => {
        const taken = await take(work).catch((thrown: unknown) => void (failed = thrown));
        if (taken?.kind === 'unwritable') throw taken.error;
        return taken?.kind === 'done' ? taken.result : undefined;
      });
      if (bad !== undefined) {
        if (bad.length < run.count) onGood();
        return { isKept: true, bad };
      }
    } catch (thrown) {
      this.#options.onUnwritable(toParleyError(thrown));
      return { isKept: false, bad: [] };
    }
    throw failed === undefined ? this.lie() : toParleyError(failed);
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
    const ask = ({ connection }: HolderLink): Promise<Came<Buffer>> =>
      askDigests(connection, { root, chunk }, blocks, signal);
    part.learn(chunk, await this.#came(holder, ask));
  }

  async #came<T>(holder: Holder, ask: (link: HolderLink) => Promise<Came<T>>): Promise<T> {
    const came = await this.#ask(holder, ask);
    if (came.kind === 'wrong length') throw this.lie();
    return came.value;
  }

  /** Asks over the holder's link, and has it watched as long as bytes are owed. */
  async #ask<T>(holder: Holder, ask: (link: HolderLink) => Promise<T>): Promise<T> {
    if (holder.state.kind !== 'linked') throw new ParleyError('CANCELLED');
    holder.awaiting += 1;
    try {
      return await ask(holder.state.link);
    } finally {
      holder.awaiting -= 1;
    }
  }
}
