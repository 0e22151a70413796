/** Blocks that are checked against the manifest, whoever sent them, and written. */
import { blockDigest, digestAt } from '../chunks/digest.js';
import type { Part } from '../chunks/part.js';
import { blockPlace, blocksOfChunk } from '../chunks/plan.js';
import type { Clock } from '../protocol/clock.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import type { Digest } from '../protocol/values.js';
import { giveBuffer, takeBuffer } from './blockbuffers.js';
import { BlockRequests } from './blockrequests.js';
import type { Run, RunOutcome } from './blockrequests.js';
import { BlockWriter } from './blockwriter.js';
import { askBlocks, askDigests } from './fetch.js';
import type { Answer } from './fetch.js';
import type { Holder, HolderLink } from './holders.js';

/** Where blocks go; one that is a file on disk may have a thread for it. */
export type BlockTarget = Pick<Part, 'plan' | 'blockDigests' | 'learn' | 'write' | 'writeNow'> &
  Partial<Pick<Part, 'hasThread' | 'takeIn'>>;

export interface CheckedOptions {
  readonly file: string;
  readonly root: Digest;
  readonly part: BlockTarget;
  readonly clock: Clock;
  /** A good block could not be written. */
  readonly onUnwritable: (error: ParleyError) => void;
}

export class CheckedBlocks {
  readonly #options: CheckedOptions;
  readonly #writer: BlockWriter;
  readonly #requests = new WeakMap<Holder, BlockRequests>();
  /** Block digests that are being asked for, by chunk: one question is enough for all its blocks. */
  readonly #asking = new Map<number, Promise<void>>();

  constructor(options: CheckedOptions) {
    this.#options = options;
    this.#writer = new BlockWriter(options.part, options.clock);
  }

  /**
   * Gets a block from a holder, checks it and writes it; `onGood` is called when its bytes are here and right. False when it could not be
   * written, which `onUnwritable` was told.
   * @throws ParleyError HASH_MISMATCH when the holder lied; what the holder refuses with; PEER_UNREACHABLE; CANCELLED
   */
  async fetch(holder: Holder, block: number, signal: AbortSignal, onGood: () => void): Promise<boolean> {
    const { plan } = this.#options.part;
    const { chunk, length } = blockPlace(plan, block);
    // The only block of its chunk is checked by the chunk's digest: there is nothing to ask first.
    const isAlone = blocksOfChunk(plan, chunk).count === 1;
    if (!isAlone) await this.#learnDigests(holder, chunk, signal);
    return this.#requestsOf(holder).add({ block, bytes: length, signal, onGood }, isAlone);
  }

  #requestsOf(holder: Holder): BlockRequests {
    const known = this.#requests.get(holder);
    if (known !== undefined) return known;
    const fetch = (run: Run, onAnswer: () => void): Promise<RunOutcome> => this.#fetchRun(holder, run, onAnswer);
    const requests = new BlockRequests({ fetch, lie: () => this.#lie() });
    this.#requests.set(holder, requests);
    return requests;
  }

  async #fetchRun(holder: Holder, run: Run, onAnswer: () => void): Promise<RunOutcome> {
    const { part, root } = this.#options;
    const [{ block, signal }] = run;
    const { chunk, indexInChunk } = blockPlace(part.plan, block);
    const params = { root, chunk, block: indexInChunk, ...(run.length > 1 && { count: run.length }) };
    const bytes = run.reduce((sum, each) => sum + each.bytes, 0);
    // One of several is not taken back alone: it comes with the others.
    const stop = run.length > 1 ? undefined : signal;
    const came = await this.#ask(holder, ({ connection }) =>
      askBlocks(connection, params, bytes, () => takeBuffer(bytes), stop),
    );
    onAnswer();
    try {
      const bad = await (part.hasThread === true ? this.#takeThere(run, came) : this.#takeHere(run, came));
      return { isKept: true, bad };
    } catch (thrown) {
      this.#options.onUnwritable(toParleyError(thrown));
      return { isKept: false, bad: [] };
    } finally {
      giveBuffer(came);
    }
  }

  async #takeThere(run: Run, came: Buffer): Promise<number[]> {
    const [{ block: first }] = run;
    const bad = (await this.#options.part.takeIn?.({ first, count: run.length }, came)) ?? [];
    for (const { block, onGood } of run) if (!bad.includes(block)) onGood();
    return bad;
  }

  /** As a part's `takeIn`, on this thread. */
  async #takeHere(run: Run, came: Buffer): Promise<number[]> {
    const bad: number[] = [];
    let [good, begin, end] = [0, 0, 0];
    for (const { block, bytes, onGood } of run) {
      const isGood = this.#isGood(block, came.subarray(end, end + bytes));
      if (isGood) {
        onGood();
        good += 1;
      } else {
        bad.push(block);
        if (good > 0) await this.#writer.write(block - good, came.subarray(begin, end), good);
        good = 0;
        begin = end + bytes;
      }
      end += bytes;
    }
    if (good > 0) await this.#writer.write((run.at(-1)?.block ?? 0) + 1 - good, came.subarray(begin, end), good);
    return bad;
  }

  #isGood(block: number, bytes: Buffer): boolean {
    const { part } = this.#options;
    const { chunk, indexInChunk } = blockPlace(part.plan, block);
    const digest = blockDigest(bytes);
    const digests = part.blockDigests(chunk);
    if (digests !== undefined) return digest.equals(digestAt(digests, indexInChunk));
    try {
      part.learn(chunk, digest);
      return true;
    } catch (thrown) {
      if (thrown instanceof ParleyError && thrown.code === 'HASH_MISMATCH') return false;
      throw thrown;
    }
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
    part.learn(chunk, await this.#ask(holder, (link) => askDigests(link.connection, { root, chunk }, blocks, signal)));
  }

  /** Asks over the holder's link, and has it watched as long as bytes are owed. */
  async #ask(holder: Holder, ask: (link: HolderLink) => Promise<Answer>): Promise<Buffer> {
    if (holder.state.kind !== 'linked') throw new ParleyError('CANCELLED');
    holder.awaiting += 1;
    try {
      const answer = await ask(holder.state.link);
      if (answer.kind === 'wrong length') throw this.#lie();
      return answer.bytes;
    } finally {
      holder.awaiting -= 1;
    }
  }

  #lie(): ParleyError {
    return new ParleyError('HASH_MISMATCH', { file: this.#options.file });
  }
}
