/** The blocks that hold the index of a folder, fetched before anything else and kept in memory: no path of it is made before it is verified. */
import { ParleyError } from '../protocol/errors.js';
import type { Manifest } from '../protocol/values.js';
import { BitSet } from './bits.js';
import { chunkCountOf } from './digest.js';
import { DigestTable } from './digesttable.js';
import { layoutOf } from './folderlayout.js';
import type { FolderLayout } from './folderlayout.js';
import type { Part } from './part.js';
import { blockPlace, blocksOfChunk, chunkOfBlock, planChunks, spansOf } from './plan.js';
import type { BlockRange, Plan } from './plan.js';
import { checkBlocks } from './runs.js';
import { digestsBelong } from './sidecar.js';

/** Takes verified blocks as a Part does; those behind the index are not missing. At most MAX_INDEX_BYTES and a block of memory. */
export class IndexPart {
  readonly plan: Plan;
  /** The chunks that the index lies in. */
  readonly chunks: BitSet;
  readonly #file: string;
  readonly #manifest: Manifest;
  readonly #indexBytes: number;
  /** Blocks 0 to this number hold the index. */
  readonly #blocks: number;
  readonly #bytes: Buffer;
  /** Those behind the index count as held. */
  readonly heldBlocks: BitSet;
  readonly #digests: DigestTable;

  /** `manifest` is that of a folder, `file` its name for messages. @throws ParleyError BAD_FOLDER_INDEX when it has no room for an index */
  constructor(file: string, manifest: Manifest) {
    const { indexBytes = 0, sizeBytes } = manifest;
    if (indexBytes < 1 || indexBytes > sizeBytes) {
      throw new ParleyError('BAD_FOLDER_INDEX', { file, reason: `it has ${indexBytes} of ${sizeBytes} bytes` });
    }
    this.#file = file;
    this.#manifest = manifest;
    this.#indexBytes = indexBytes;
    this.plan = planChunks(sizeBytes, chunkCountOf(manifest));
    this.#digests = new DigestTable(this.plan);
    let blocks = 0;
    let end = 0;
    for (; end < indexBytes; blocks++) end += blockPlace(this.plan, blocks).length;
    this.#blocks = blocks;
    this.heldBlocks = new BitSet(this.plan.blocks);
    this.heldBlocks.addRun({ first: blocks, count: this.plan.blocks - blocks });
    this.#bytes = Buffer.alloc(end);
    this.chunks = new BitSet(this.plan.chunks);
    this.chunks.addRun({ first: 0, count: chunkOfBlock(this.plan, blocks - 1) + 1 });
  }

  hasChunk(chunk: number): boolean {
    return this.missing(chunk).length === 0;
  }

  missing(chunk: number): number[] {
    const { first, count } = blocksOfChunk(this.plan, chunk);
    const end = Math.min(first + count, this.#blocks);
    return Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i).filter(
      (block) => !this.heldBlocks.has(block),
    );
  }

  blockDigests(chunk: number): Buffer | undefined {
    return this.#digests.get(chunk);
  }

  /** @throws ParleyError HASH_MISMATCH */
  learn(chunk: number, blockDigests: Buffer): void {
    if (!digestsBelong({ manifest: this.#manifest, plan: this.plan }, chunk, blockDigests)) {
      throw new ParleyError('HASH_MISMATCH', { file: this.#file, chunk });
    }
    this.#digests.set(chunk, blockDigests);
  }

  /** As a part's. */
  check(blocks: BlockRange, bytes: Buffer): number[] {
    return checkBlocks({ manifest: this.#manifest, plan: this.plan }, this.#digests, blocks, bytes, ignore);
  }

  write(block: number, bytes: Uint8Array, count = 1): Promise<boolean> {
    return Promise.resolve(this.writeNow(block, bytes, count));
  }

  writeNow(first: number, bytes: Uint8Array, count = 1): boolean {
    let isWhole = false;
    const begin = blockPlace(this.plan, first).offset;
    for (let block = first; block < first + count; block++) {
      if (this.heldBlocks.has(block)) continue;
      const { offset, chunk, length } = blockPlace(this.plan, block);
      this.#bytes.set(bytes.subarray(offset - begin, offset - begin + length), offset);
      this.heldBlocks.add(block);
      isWhole = this.hasChunk(chunk) || isWhole;
    }
    return isWhole;
  }

  /** What is in the folder. @throws ParleyError BAD_FOLDER_INDEX */
  layout(): FolderLayout {
    try {
      const layout = layoutOf(Buffer.from(this.#bytes.subarray(0, this.#indexBytes)));
      if (layout.sizeBytes === this.plan.sizeBytes) return layout;
      const reason = `its files make ${layout.sizeBytes} bytes, and ${this.plan.sizeBytes} are registered`;
      throw new ParleyError('BAD_FOLDER_INDEX', { reason });
    } catch (cause) {
      if (!(cause instanceof ParleyError)) throw cause;
      throw new ParleyError('BAD_FOLDER_INDEX', { ...cause.details, file: this.#file }, { cause });
    }
  }

  /** Gives what was fetched to the part that gets the rest. */
  async giveTo(part: Part): Promise<void> {
    for (const chunk of this.chunks.numbers()) {
      const digests = this.#digests.get(chunk);
      if (digests !== undefined) part.learn(chunk, digests);
    }
    for (const run of this.heldBlocks.runs(true, { first: 0, count: this.#blocks })) {
      for (const { blocks, offset, length } of spansOf(this.plan, run)) {
        await part.write(blocks.first, this.#bytes.subarray(offset, offset + length), blocks.count);
      }
    }
  }
}

const ignore = (): void => undefined;
