/** The files of a `.part` on disk: their names, and opening those of an earlier run or beginning new ones. */
import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { lstat, open, readdir, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import { MAX_FILE_NAME_BYTES } from '../protocol/limits.js';
import type { BitSet } from './bits.js';
import { blake3 } from './digest.js';
import type { XxHash64 } from './digest.js';
import type { DigestTable } from './digesttable.js';
import { noFollow, nonBlocking } from './files.js';
import { errnoOf } from './fserrors.js';
import { createFolderStore, openFolderStore } from './folderstore.js';
import type { FolderLayout } from './folderlayout.js';
import type { Plan } from './plan.js';
import { syncFolder } from './publish.js';
import { recoverBlocks } from './recover.js';
import type { RecoverOptions } from './recover.js';
import { noProgress, readSidecar } from './sidecar.js';
import type { Subject } from './sidecar.js';
import { SidecarLog } from './sidecarlog.js';
import { fileStore } from './store.js';
import type { PartStore } from './store.js';

export interface PartPaths {
  readonly target: string;
  readonly part: string;
  readonly state: string;
  /** Where a new sidecar is written before it takes its place. */
  readonly stateTemporary: string;
  readonly lock: string;
}

const STATE_SUFFIX = '.part.state';
const TEMPORARY_SUFFIX = '.tmp';
/** Bytes that stay of a name that is too long to be added to. */
const KEPT_NAME_BYTES = 200;

/** The files beside `target` while it is fetched: `<target>.part` and so on; of a name near the limit only the beginning and a hash. */
export function partPaths(target: string): PartPaths {
  const name = basename(target);
  const fits = Buffer.byteLength(name + STATE_SUFFIX + TEMPORARY_SUFFIX) <= MAX_FILE_NAME_BYTES;
  const stem = fits ? target : join(dirname(target), shortened(name));
  const state = stem + STATE_SUFFIX;
  return { target, part: `${stem}.part`, state, stateTemporary: state + TEMPORARY_SUFFIX, lock: `${stem}.part.lock` };
}

function shortened(name: string): string {
  const bytes = Buffer.from(name);
  const kept = bytes
    .subarray(0, KEPT_NAME_BYTES)
    .toString('utf8')
    .replace(/\ufffd$/u, '');
  return `${kept}~${blake3(bytes).toString('hex').slice(0, 16)}`;
}

/** An open `.part` and its sidecar. */
export interface PartFiles {
  readonly file: PartStore;
  readonly log: SidecarLog;
  /** Digests of blocks, as far as known; `log` notes them from here. */
  readonly digests: DigestTable;
  /** Blocks whose bytes are in the file, verified. */
  readonly held: BitSet;
}

export interface BeginOptions extends RecoverOptions {
  /** Of a folder: what will be in it. */
  readonly layout?: FolderLayout | undefined;
  /** Take the place of a `.part` file that is not ours, too. */
  readonly overwrite?: boolean | undefined;
}

/**
 * Opens what an earlier run left, with the blocks in it that are good, or begins anew where nothing of use is left.
 * @throws ParleyError TARGET_EXISTS; what the file system refuses as it comes
 */
export async function resumeOrBegin(
  paths: PartPaths,
  subject: Subject,
  xxHash64: XxHash64,
  options: BeginOptions,
): Promise<PartFiles> {
  const found = await readSidecar(paths.state, subject, xxHash64);
  const { layout } = options;
  if (found === 'absent') await refuseForeign(paths.part, options.overwrite === true && !layout);
  const resumable = typeof found === 'string' ? undefined : found;
  let file = resumable && (await openExisting(paths.part, subject.plan, layout));
  let log: SidecarLog | undefined;
  try {
    const progress =
      file && resumable
        ? { digests: resumable.digests, claimed: await recoverBlocks(file, subject, resumable, options) }
        : noProgress(subject.plan);
    // The sidecar comes first: a .part without one is not ours.
    log = await SidecarLog.create(paths, subject, progress, xxHash64);
    file ??= await createFresh(paths.part, subject.plan, layout);
    await syncFolder(dirname(paths.part));
    return { file, log, digests: progress.digests, held: progress.claimed };
  } catch (error) {
    await log?.close();
    await file?.close();
    throw error;
  }
}

/** Refuses a `.part` that has no sidecar, for it is somebody's, unless told to `overwrite` a file; an empty one has nothing to lose. */
async function refuseForeign(path: string, overwrite: boolean): Promise<void> {
  const stats = await lstat(path).catch((error: unknown): Stats | undefined => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (stats === undefined) return;
  if (stats.isDirectory() ? (await readdir(path)).length === 0 : overwrite || (stats.isFile() && stats.size === 0))
    return;
  throw new ParleyError('TARGET_EXISTS', { path });
}

/** The file of an earlier run; undefined when it is missing, or no plain file with this one name, so that it is begun anew. */
async function openExisting(path: string, plan: Plan, layout?: FolderLayout): Promise<PartStore | undefined> {
  if (layout) return openFolderStore(path, layout);
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDWR | noFollow() | nonBlocking());
    const stats = await file.stat();
    if (stats.isFile() && stats.nlink === 1) {
      if (stats.size > plan.sizeBytes) await file.truncate(plan.sizeBytes);
      return fileStore(path, file, plan.sizeBytes);
    }
    await file.close();
    return undefined;
  } catch (error) {
    await file?.close();
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

async function createFresh(path: string, plan: Plan, layout?: FolderLayout): Promise<PartStore> {
  // Ours, or empty: it was looked at.
  await rm(path, { recursive: true, force: true });
  if (layout) return createFolderStore(path, layout);
  const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | noFollow(), 0o644);
  return fileStore(path, file, plan.sizeBytes);
}
