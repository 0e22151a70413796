/** What is kept of shares besides their records: block digests, and the indexes of folders; both by root. */
import type { FolderLayout } from '../../chunks/folderlayout.js';
import type { Digest } from '../../protocol/values.js';
import { DigestStore } from './digeststore.js';
import { FolderIndexes } from './folderindexes.js';

export class ShareStores {
  readonly digests: DigestStore;
  readonly indexes: FolderIndexes;

  constructor(home: string) {
    this.digests = new DigestStore(home);
    this.indexes = new FolderIndexes(home);
  }

  /** @throws ParleyError DISK_FULL */
  async put(root: Digest, blockDigests: Buffer, layout: FolderLayout | undefined): Promise<void> {
    await this.digests.put(root, blockDigests);
    if (layout) await this.indexes.put(root, layout);
  }

  async remove(root: Digest): Promise<void> {
    await Promise.all([this.digests.remove(root), this.indexes.remove(root)]);
  }
}
