/** Blocks that were checked against the manifest, whoever sent them. */
import { blockDigest, digestAt } from '../chunks/digest.js';
import type { Part } from '../chunks/part.js';
import { ParleyError } from '../protocol/errors.js';
import type { Digest } from '../protocol/values.js';
import { askBlock, askDigests } from './fetch.js';
import type { Answer } from './fetch.js';
import type { Holder, HolderLink } from './holders.js';
import type { BlockRef, Ledger } from './ledger.js';

export interface CheckedOptions {
  readonly file: string;
  readonly root: Digest;
  readonly part: Pick<Part, 'blockDigests' | 'learn'>;
  readonly ledger: Ledger;
}

export class CheckedBlocks {
  readonly #options: CheckedOptions;
  /** Block digests that are being asked for, by chunk: one question is enough for all its blocks. */
  readonly #asking = new Map<number, Promise<void>>();

  constructor(options: CheckedOptions) {
    this.#options = options;
  }

  /**
   * Fills `into` with a block as the manifest wants it. `into` must not be used again when this fails.
   * @throws ParleyError HASH_MISMATCH when the holder lied; what the holder refuses with; PEER_UNREACHABLE; CANCELLED
   */
  async fetch(holder: Holder, ref: BlockRef, into: Buffer, signal: AbortSignal): Promise<void> {
    const { ledger, part, root } = this.#options;
    const alone = ledger.blocksOf(ref.chunk) === 1;
    if (!alone) await this.#learnDigests(holder, ref.chunk, signal);
    const params = { root, chunk: ref.chunk, block: ref.block };
    const bytes = await this.#ask(holder, (link) => askBlock(link.connection, params, into, signal));
    const digest = blockDigest(bytes);
    // The only block of its chunk is checked by the chunk's digest: there is nothing to ask first.
    if (alone) part.learn(ref.chunk, digest);
    const digests = part.blockDigests(ref.chunk);
    if (digests === undefined || !digest.equals(digestAt(digests, ref.block))) throw this.#lie();
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
    const { ledger, part, root } = this.#options;
    const blocks = ledger.blocksOf(chunk);
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
