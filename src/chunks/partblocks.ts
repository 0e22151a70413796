/** What is known of the blocks of a `.part`: their digests, which are held, which are claimed, and which were checked just now. */
import { basename } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import { splitRun } from './bits.js';
import type { BlockJobResult, BlockWork } from './blockjob.js';
import type { Claims } from './claims.js';
import { digestsOf } from './digest.js';
import type { DigestTable } from './digesttable.js';
import { FreshBlocks } from './freshblocks.js';
import { HeldBlocks } from './held.js';
import type { PartFiles, PartPaths } from './partfiles.js';
import { blocksOfChunk, bytesOfBlocks, chunkOfBlock } from './plan.js';
import type { BlockRange } from './plan.js';
import { checkBlocks, runToCheck } from './runs.js';
import { digestsBelong } from './sidecar.js';
import type { Progress, Subject } from './sidecar.js';

/** Everything goes by runs of blocks: a file of 65,536 chunks has as many blocks, and nothing may cost much for each. */
export class PartBlocks {
  readonly subject: Subject;
  readonly held: HeldBlocks;
  readonly digests: DigestTable;
  readonly #paths: PartPaths;
  readonly #claims: Claims;
  readonly #fresh: FreshBlocks;

  /** `now`: milliseconds of a monotonic clock. */
  constructor(
    subject: Subject,
    paths: PartPaths,
    files: Pick<PartFiles, 'digests' | 'held'>,
    claims: Claims,
    now: () => number,
  ) {
    this.subject = subject;
    this.held = new HeldBlocks(subject.plan, files.held);
    this.digests = files.digests;
    this.#paths = paths;
    this.#claims = claims;
    this.#fresh = new FreshBlocks(subject.plan.blocks, now);
  }

  /** What the sidecar says when it is written anew. */
  get progress(): Progress {
    return { digests: this.digests, claimed: this.held.blocks };
  }

  /** @throws ParleyError HASH_MISMATCH; RangeError when the file has no such chunk */
  learn(chunk: number, blockDigests: Buffer): void {
    if (this.digests.has(chunk)) return;
    if (!digestsBelong(this.subject, chunk, blockDigests)) {
      throw new ParleyError('HASH_MISMATCH', { file: basename(this.#paths.target), chunk });
    }
    this.digests.set(chunk, blockDigests);
    this.#claims.addDigests({ first: chunk, count: 1 }, blocksOfChunk(this.subject.plan, chunk).count);
  }

  /** As `checkBlocks`; the sidecar learns what was learnt. */
  check(blocks: BlockRange, bytes: Buffer): number[] {
    return checkBlocks(this.subject, this.digests, blocks, bytes, (chunks) => this.#learnt(chunks));
  }

  /** @throws RangeError when the digests of one of the blocks are not known */
  expectLearnt({ first, count }: BlockRange): void {
    const { plan } = this.subject;
    const last = chunkOfBlock(plan, first + count - 1);
    for (let chunk = chunkOfBlock(plan, first); chunk <= last; chunk++) {
      if (!this.digests.has(chunk)) throw new RangeError(`chunk ${chunk} was not learnt`);
    }
  }

  /** Verified bytes of these were written just now. Returns whether they made a chunk whole. */
  written(blocks: BlockRange): boolean {
    this.#fresh.add(blocks);
    return this.found(blocks);
  }

  /** As a part's `takeBy`, into the file `fd`. @throws what `doIt` throws */
  async takeBy(fd: number, blocks: BlockRange, doIt: (work: BlockWork) => Promise<BlockJobResult>): Promise<number[]> {
    const work = runToCheck(this.subject, this.digests, blocks);
    const { good, digests } = await doIt({ ...work, fd });
    const found = Buffer.from(digests.buffer, digests.byteOffset, digests.byteLength);
    const { right, wrong } = splitRun(blocks, (block) => good[block - blocks.first] === true);
    for (const run of right) {
      const digestsOfRun = digestsOf(found, { first: run.first - blocks.first, count: run.count });
      this.#takenIn(run, digestsOfRun, work.of === 'chunk');
    }
    return wrong;
  }

  /** Verified bytes of these are in the file, since whenever. Returns whether they made a chunk whole. */
  found(blocks: BlockRange): boolean {
    const { plan } = this.subject;
    let isWhole = false;
    for (const run of this.held.addRun(blocks)) {
      this.#claims.add(run, bytesOfBlocks(plan, run).length);
      const last = chunkOfBlock(plan, run.first + run.count - 1);
      for (let chunk = chunkOfBlock(plan, run.first); chunk <= last && !isWhole; chunk++) {
        isWhole = this.held.hasChunk(chunk);
      }
    }
    return isWhole;
  }

  /** The blocks that must be read again before the file gets its name; `isAsWritten`: it looks as it should. */
  toReadAgain(isAsWritten: boolean): readonly BlockRange[] {
    // What could not be synced once is not there for sure, and the next sync says nothing of it.
    if (!isAsWritten || this.#claims.wasRefused) this.#fresh.clear();
    return this.#fresh.others();
  }

  /** Those were read again, and what is not `spoilt` is good. */
  wereRead(runs: readonly BlockRange[], spoilt: readonly number[]): void {
    for (const run of runs) this.#fresh.add(run);
    for (const block of spoilt) {
      this.#fresh.delete(block);
      this.held.delete(block);
    }
  }

  /** `digests`: of the blocks; `alone`: these are chunks of one block each, whose digests need not have been learnt. */
  #takenIn(blocks: BlockRange, digests: Buffer, alone: boolean): void {
    const chunks = { first: chunkOfBlock(this.subject.plan, blocks.first), count: blocks.count };
    if (alone) for (const fresh of this.digests.learnAlone(chunks, digests)) this.#learnt(fresh);
    this.written(blocks);
  }

  /** The digests of these chunks of one block are in the table now. */
  #learnt(chunks: BlockRange): void {
    this.#claims.addDigests(chunks, chunks.count);
  }
}
