/** What this user has of a file: whole at a path, or a `.part` that grows; and several of the same bytes as one share. */
import { BitSet } from '../../chunks/bits.js';
import type { FileIdentity } from '../../chunks/files.js';
import type { FolderLayout } from '../../chunks/folderlayout.js';
import type { Part } from '../../chunks/part.js';
import { chunkOfBlock } from '../../chunks/plan.js';
import type { Plan } from '../../chunks/plan.js';
import { ParleyError } from '../../protocol/errors.js';
import type { Digest } from '../../protocol/values.js';
import type { Share } from '../../p2p/provider.js';
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

  hasChunk(chunk: number): boolean {
    return this.#shares().some((share) => share.hasChunk(chunk));
  }

  blockDigests(chunk: number): Buffer | undefined {
    return this.#shares()
      .find((share) => share.hasChunk(chunk))
      ?.blockDigests(chunk);
  }

  async read(block: number, target: Uint8Array, targetOffset: number): Promise<number> {
    const chunk = chunkOfBlock(this.plan, block);
    const tried = new Set<Share>();
    let failure: unknown = new ParleyError('CHUNK_GONE', { file: this.file, chunk });
    while (true) {
      const share = this.#shares().find((each) => each.hasChunk(chunk) && !tried.has(each));
      if (share === undefined) throw failure;
      tried.add(share);
      try {
        return await share.read(block, target, targetOffset);
      } catch (thrown) {
        failure = thrown;
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

/** Whether any chunk of it is whole. */
export function holdsAnything({ part }: PartHolding): boolean {
  return part.heldChunks().some((byte) => byte > 0);
}
