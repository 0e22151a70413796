/** Everything that this user holds, by path, and what there is of a file in all. */
import type { Digest } from '../../protocol/values.js';
import type { Share } from '../../p2p/share.js';
import { statementOf } from './announcer.js';
import type { Statement } from './announcer.js';
import { countBits } from './bitmaps.js';
import { JoinedShare, closeHolding, isPartial } from './holding.js';
import type { Holding } from './holding.js';
import type { ShareRecord } from './shareindex.js';

/** How many chunks of a file are held. */
export interface HeldCount {
  readonly file: string;
  readonly held: number;
  readonly chunks: number;
}

export class Holdings {
  readonly #byPath = new Map<string, Holding>();

  get size(): number {
    return this.#byPath.size;
  }

  /** Those of now: it may be changed while they are gone through. */
  get all(): readonly Holding[] {
    return [...this.#byPath.values()];
  }

  get(path: string): Holding | undefined {
    return this.#byPath.get(path);
  }

  /** Takes the place of what was held at its path. */
  put(holding: Holding): void {
    this.#byPath.set(holding.record.path, holding);
  }

  /** Forgets a holding, unless another has taken its place. Closes nothing. */
  remove(holding: Holding): void {
    const { path } = holding.record;
    if (this.#byPath.get(path) === holding) this.#byPath.delete(path);
  }

  /** All that is held of the bytes with this root, as one share. */
  find(root: Digest): Share | undefined {
    const shares = (): Share[] => this.usable((record) => record.root === root).map(({ share }) => share);
    const [first] = shares();
    return first === undefined ? undefined : new JoinedShare(first.file, first.plan, shares);
  }

  counts(): HeldCount[] {
    const files = new Map<string, ShareRecord>();
    for (const { record } of this.usable()) files.set(record.file, record);
    return [...files.values()].map(({ file, root, chunks }) => {
      const share = this.find(root);
      return { file, held: share === undefined ? 0 : countBits(share.heldChunks()), chunks };
    });
  }

  /** What the server is to be told of a file; undefined when nothing of it is held. */
  statement(file: string): Statement | undefined {
    const [first] = this.usable((record) => record.file === file);
    if (first === undefined) return undefined;
    const { root, chunks } = first.record;
    const held = this.find(root)?.heldChunks() ?? Buffer.alloc(0);
    return statementOf(root, chunks, held, this.about(file)?.partial === true);
  }

  /** The same without its chunks. */
  about(file: string): Omit<Statement, 'chunks'> | undefined {
    const holdings = this.usable((record) => record.file === file);
    const [first] = holdings;
    return first && { root: first.record.root, ...(holdings.some(isPartial) && { partial: true }) };
  }

  /** What can be served as far as it is known. */
  usable(fits: (record: ShareRecord) => boolean = () => true): Holding[] {
    return this.all.filter((holding) => fits(holding.record) && (holding.kind === 'part' || holding.share.usable));
  }

  /** Closes every file and forgets it; parts keep what was verified. */
  async close(): Promise<void> {
    await Promise.all(this.all.map(closeHolding));
    this.#byPath.clear();
  }
}
