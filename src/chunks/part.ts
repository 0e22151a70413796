/** A file that is being fetched: `<target>.part`, its sidecar, and the way from there to the finished file. */
import { basename } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import type { Manifest } from '../protocol/values.js';
import { blockThreadFor } from './blockthread.js';
import type { BlockThread } from './blockthread.js';
import { Claims } from './claims.js';
import { chunkCountOf, loadXxHash64, manifestRoot } from './digest.js';
import { unwritable } from './fserrors.js';
import { takeLock } from './lock.js';
import type { FileLock } from './lock.js';
import { Part } from './openedpart.js';
import { PartBlocks } from './partblocks.js';
import { partPaths, resumeOrBegin } from './partfiles.js';
import type { BeginOptions } from './partfiles.js';
import { planChunks } from './plan.js';

export type { FinishedFile, FinishOptions } from './endings.js';
export type { Part } from './openedpart.js';

export interface PartOptions extends BeginOptions {
  /** The path that the finished file will have. */
  readonly target: string;
  readonly manifest: Manifest;
  /** What hashes and writes blocks, when not what `blockThreadFor` says. */
  readonly thread?: BlockThread | undefined;
  /** Milliseconds of a monotonic clock; that of the process unless given. */
  readonly now?: (() => number) | undefined;
}

/**
 * Opens the `.part` of `target`, or begins it. Every block that the part says it has is good: what was closed in good order and is
 * as it was left is known to be; anything else is read again first, which takes a pass over those blocks at the disk's speed.
 * @throws ParleyError DISK_FULL (any refusal to write, with a reason), TARGET_EXISTS (a `.part` of that name is not ours),
 *   TARGET_BUSY (another process, or this one, has it open), HASH_MISMATCH (the manifest's root is not that of its chunks),
 *   BAD_CHUNK_COUNT
 */
export async function openPart(options: PartOptions): Promise<Part> {
  const { manifest, target } = options;
  const subject = { manifest, plan: planChunks(manifest.sizeBytes, chunkCountOf(manifest)) };
  const { layout } = options;
  if (layout?.index.length !== manifest.indexBytes || (layout && layout.sizeBytes !== manifest.sizeBytes)) {
    throw new ParleyError('BAD_FOLDER_INDEX', { file: basename(target), reason: 'it is not of this size' });
  }
  if (manifestRoot(manifest) !== manifest.root) throw new ParleyError('HASH_MISMATCH', { file: basename(target) });
  const xxHash64 = await loadXxHash64();
  const paths = partPaths(target);
  let lock: FileLock | undefined;
  try {
    lock = await takeLock(paths.lock, target);
    const thread = options.thread ?? blockThreadFor(manifest.sizeBytes);
    const files = await resumeOrBegin(paths, subject, xxHash64, options);
    const claims = new Claims(paths.part, files.file, files.log);
    const blocks = new PartBlocks(subject, paths, files, claims, options.now ?? (() => performance.now()));
    return new Part(blocks, { paths, lock, file: files.file, claims }, xxHash64, thread);
  } catch (error) {
    await lock?.release();
    throw unwritable(paths.part, error);
  }
}
