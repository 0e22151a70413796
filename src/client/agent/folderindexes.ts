/** The indexes of folders that are shared or being fetched, on disk: what is in them is known again without asking anybody. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { blake3, DIGEST_BYTES } from '../../chunks/digest.js';
import { layoutOf } from '../../chunks/folderlayout.js';
import type { FolderLayout } from '../../chunks/folderlayout.js';
import type { Digest } from '../../protocol/values.js';
import { replaceFile } from './durablefile.js';

const FOLDER = 'indexes';

export class FolderIndexes {
  readonly #folder: string;
  /** Those that are in use, by root: parsing 10,000 files takes 50 ms. */
  readonly #parsed = new Map<Digest, WeakRef<FolderLayout>>();

  constructor(home: string) {
    this.#folder = join(home, FOLDER);
  }

  /** @throws ParleyError DISK_FULL */
  async put(root: Digest, layout: FolderLayout): Promise<void> {
    const { index } = layout;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await replaceFile(this.#path(root), Buffer.concat([blake3(index), index]));
    this.#parsed.set(root, new WeakRef(layout));
  }

  /** Undefined when it is not known, or damaged. */
  async read(root: Digest): Promise<FolderLayout | undefined> {
    const parsed = this.#parsed.get(root)?.deref();
    if (parsed !== undefined) return parsed;
    const bytes = await readFile(this.#path(root)).catch(() => undefined);
    if (bytes === undefined) return undefined;
    const index = bytes.subarray(DIGEST_BYTES);
    if (!blake3(index).equals(bytes.subarray(0, DIGEST_BYTES))) return undefined;
    const layout = layoutOf(index);
    this.#parsed.set(root, new WeakRef(layout));
    return layout;
  }

  async remove(root: Digest): Promise<void> {
    this.#parsed.delete(root);
    await rm(this.#path(root), { force: true }).catch(() => undefined);
  }

  #path(root: Digest): string {
    return join(this.#folder, root);
  }
}
