/** What this user has of a file: whole at a path, or a `.part` that grows; and several of the same bytes as one share. */
import { BitSet } from '../../chunks/bits.js';
import type { FileIdentity } from '../../chunks/files.js';
import type { FolderLayout } from '../../chunks/folderlayout.js';
import type { Part } from '../../chunks/part.js';
import { chunkOfBlock } from '../../chunks/plan.js';
import type { BlockRange, Plan } from '../../chunks/plan.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { Digest } from '../../protocol/values.js';
import type { Share } from '../../p2p/share.js';
import type { ShareRecord, WholeRecord } from './shareindex.js';
import type { WholeShare } from './wholeshare.js';

export interface WholeHolding {
  readonly kind: 'whole';
  /** Replaced when more is known about the same file. */
  record: WholeRecord;
  readonly share: WholeShare;
}
export interface PartHolding {
  readonly kind: 'part';
  readonly record: ShareRecord;
  readonly part: Part;
  readonly share: Share;
  /** A download is writing to it. */
  busy: boolean;
  /** Blocks that it has asked for, in order. */
  coming: () => readonly BlockRange[];
}
export type Holding = WholeHolding | PartHolding;

/** Shares of the same bytes as one, always as they are at the moment: a part that was finished meanwhile is served on. */
export class JoinedShare implements Share {
  readonly file: string;
  readonly plan: Plan;
  readonly #shares: () => readonly Share[];

  constructor(file: string, plan: Plan, shares: () => readonly Share[]) {
    this.file = file;
    this.plan = plan;
    this.#shares = shares;
  }

  heldChunks(): Buffer {
    const [first, ...more] = this.#shares();
    const joined = first?.heldChunks() ?? new BitSet(this.plan.chunks).toBytes();
    for (const share of more) {
      for (const [at, byte] of share.heldChunks().entries()) joined.writeUInt8((joined[at] ?? 0) | byte, at);
    }
    return joined;
  }

  heldBlocks(): BitSet {
    const [first, ...more] = this.#shares();
    if (first === undefined) return new BitSet(this.plan.blocks);
    if (more.length === 0) return first.heldBlocks();
    const joined = first.heldBlocks().copy();
    for (const share of more) for (const run of share.heldBlocks().runsWithout(joined)) joined.addRun(run);
    return joined;
  }

  lacks(blocks: BlockRange): number | undefined {
    const shares = this.#shares();
    if (shares.some((share) => share.lacks(blocks) === undefined)) return undefined;
    const { first, count } = blocks;
    for (let block = first; block < first + count; block += 1) {
      if (!shares.some((share) => share.lacks({ first: block, count: 1 }) === undefined)) return block;
    }
    return undefined;
  }

  coming(): readonly BlockRange[] {
    const coming = new BitSet(this.plan.blocks);
    for (const share of this.#shares()) for (const run of share.coming()) coming.addRun(run);
    return [...coming.runs()];
  }

  blockDigests(chunk: number): Buffer | undefined {
    for (const share of this.#shares()) {
      const digests = share.blockDigests(chunk);
      if (digests !== undefined) return digests;
    }
    return undefined;
  }

  async read(block: number, target: Uint8Array, targetOffset: number, count = 1): Promise<number> {
    const chunk = chunkOfBlock(this.plan, block);
    const tried = new Set<Share>();
    let failure: ParleyError | undefined;
    while (true) {
      const share = this.#shares().find(
        (each) => each.lacks({ first: block, count }) === undefined && !tried.has(each),
      );
      // An error is dear to make, and hardly ever needed.
      if (share === undefined) throw failure ?? new ParleyError('CHUNK_GONE', { file: this.file, chunk });
      tried.add(share);
      try {
        return await share.read(block, target, targetOffset, count);
      } catch (thrown) {
        failure = toParleyError(thrown);
      }
    }
  }
}

/** A whole file or folder, as it was hashed. */
export interface WholeFile {
  readonly file: string;
  readonly root: Digest;
  readonly chunks: number;
  readonly path: string;
  readonly identity: FileIdentity;
  readonly blockDigests: Buffer;
  /** Of a folder: what is in it. */
  readonly layout?: FolderLayout | undefined;
}

/** Whether any block of it is here. */
export function holdsAnything({ part }: PartHolding): boolean {
  return part.heldBlocks.count > 0;
}

/** Whether blocks of chunks that are not whole are here, or come. */
export function isPartial(holding: Holding): boolean {
  return holding.kind === 'part' && (holding.busy || holdsAnything(holding));
}

/** Serves it no more, and lets go of its files. */
export async function closeHolding(holding: Holding): Promise<void> {
  await (holding.kind === 'whole' ? holding.share : holding.part).close();
}
