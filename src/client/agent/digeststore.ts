/** The block digests of shared files, on disk: 32 bytes a MiB, asked for seldom, and too many to keep in memory. */
import { closeSync, openSync, readSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DIGEST_BYTES, hashInto, manifestRoot } from '../../chunks/digest.js';
import { blocksOfChunk } from '../../chunks/plan.js';
import type { Plan } from '../../chunks/plan.js';
import type { Digest } from '../../protocol/values.js';
import { replaceFile } from './durablefile.js';

const FOLDER = 'digests';

export class DigestStore {
  readonly #folder: string;

  constructor(home: string) {
    this.#folder = join(home, FOLDER);
  }

  /** Keeps the digests of all blocks in order. @throws ParleyError DISK_FULL */
  async put(root: Digest, blockDigests: Buffer): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await replaceFile(this.#path(root), blockDigests);
  }

  /** Whether what is kept makes this root. Worth asking once a run: afterwards `read` believes it. */
  async isGood(root: Digest, plan: Plan, indexBytes?: number): Promise<boolean> {
    const digests = await readFile(this.#path(root)).catch(() => undefined);
    if (digests?.length !== plan.blocks * DIGEST_BYTES) return false;
    const chunkDigests = Buffer.alloc(plan.chunks * DIGEST_BYTES);
    for (let chunk = 0; chunk < plan.chunks; chunk++) {
      const { start, end } = placeOf(plan, chunk);
      hashInto(digests.subarray(start, end), chunkDigests, chunk * DIGEST_BYTES);
    }
    return manifestRoot({ sizeBytes: plan.sizeBytes, chunkDigests, indexBytes }) === root;
  }

  /** The digests of a chunk's blocks; undefined when they cannot be read. */
  read(root: Digest, plan: Plan, chunk: number): Buffer | undefined {
    const { start, end } = placeOf(plan, chunk);
    const digests = Buffer.alloc(end - start);
    let file: number | undefined;
    try {
      // Some kilobytes from the page cache: quicker than a turn of the loop.
      file = openSync(this.#path(root), 'r');
      return readSync(file, digests, 0, digests.length, start) === digests.length ? digests : undefined;
    } catch {
      return undefined;
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }

  async remove(root: Digest): Promise<void> {
    await rm(this.#path(root), { force: true }).catch(() => undefined);
  }

  #path(root: Digest): string {
    return join(this.#folder, root);
  }
}

function placeOf(plan: Plan, chunk: number): { start: number; end: number } {
  const { first, count } = blocksOfChunk(plan, chunk);
  return { start: first * DIGEST_BYTES, end: (first + count) * DIGEST_BYTES };
}
