/** A folder as something to be shared: its manifest, whether it is still what it was, and serving it without a copy (R16). */
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ParleyError } from '../protocol/errors.js';
import { manifestRoot } from './digest.js';
import { readFully, sameIdentity, SETTLE_MS } from './files.js';
import type { FileIdentity } from './files.js';
import { FileChanged, findFiles, FolderFiles, folderIdentity, placeFiles } from './folderfiles.js';
import type { PlacedFile } from './folderfiles.js';
import { encodeFolderIndex } from './folderindex.js';
import { layoutOf } from './folderlayout.js';
import type { FolderLayout } from './folderlayout.js';
import { walkFolder } from './folderwalk.js';
import type { Skipped, Walked, WalkOptions } from './folderwalk.js';
import { hashBytes } from './manifest.js';
import type { BuiltManifest, PassOptions } from './manifest.js';
import { blockPlace, bytesOfBlocks, planChunks } from './plan.js';
import type { Plan } from './plan.js';

export interface BuiltFolder extends BuiltManifest {
  readonly layout: FolderLayout;
  readonly skipped: readonly Skipped[];
}

/** A folder that was looked at. */
export interface PreparedFolder {
  readonly path: string;
  readonly layout: FolderLayout;
  readonly walked: Walked;
  /** Bytes of index and files. */
  readonly sizeBytes: number;
}

/**
 * Looks at a folder that is to be shared, without reading a file.
 * @throws ParleyError FILE_MISSING, BAD_NAME naming the path that cannot be shared
 */
export async function prepareFolder(path: string, options: WalkOptions = {}): Promise<PreparedFolder> {
  const walked = await walkFolder(path, options);
  const layout = layoutOf(encodeFolderIndex(walked.entries));
  return { path, layout, walked, sizeBytes: layout.sizeBytes };
}

/**
 * Cuts a folder into `chunks` chunks and hashes it, as `buildManifest` does a file.
 * @throws ParleyError FILE_MISSING (with a reason), BAD_CHUNK_COUNT, BAD_NAME
 */
export async function buildFolderManifest(
  path: string,
  chunks: number,
  options: PassOptions & WalkOptions = {},
): Promise<BuiltFolder> {
  let changed = path;
  for (let attempt = 0; attempt < 2; attempt++) {
    const { layout, walked } = await prepareFolder(path, options);
    try {
      const placed = placeFiles(layout, walked.entries);
      const built = placed && (await hashPlaced(path, layout, placed, chunks, options));
      if (built !== undefined) return { ...built, layout, skipped: walked.skipped };
    } catch (error) {
      if (!(error instanceof FileChanged)) throw error;
      changed = error.path;
    }
  }
  throw new ParleyError('FILE_MISSING', { path: changed, reason: 'it keeps changing while it is read' });
}

/**
 * The manifest of the folder of which the index is known; undefined when what is there cannot be it.
 * @throws ParleyError FILE_MISSING
 */
export async function rebuildFolderManifest(
  path: string,
  layout: FolderLayout,
  chunks: number,
  options: PassOptions = {},
): Promise<BuiltManifest | undefined> {
  try {
    const placed = await findFiles(path, layout, options);
    return placed && (await hashPlaced(path, layout, placed, chunks, options));
  } catch (error) {
    if (error instanceof FileChanged) return undefined;
    throw error;
  }
}

async function hashPlaced(
  path: string,
  layout: FolderLayout,
  placed: readonly PlacedFile[],
  chunks: number,
  options: PassOptions,
): Promise<BuiltManifest | undefined> {
  const identity = folderIdentity(layout, placed);
  await settle(identity, options.signal);
  const plan = planChunks(layout.sizeBytes, chunks);
  const files = new FolderFiles(path, layout, placed);
  try {
    const digests = await hashBytes(files, plan, options);
    if (digests === undefined) return undefined;
    const { blockDigests, chunkDigests } = digests;
    const manifest = { sizeBytes: plan.sizeBytes, chunkDigests, indexBytes: layout.index.length };
    return { manifest: { ...manifest, root: manifestRoot(manifest) }, plan, blockDigests, identity };
  } finally {
    files.close();
  }
}

/** A second change within one tick of the file system's clock would leave no trace. */
async function settle({ mtimeNs }: FileIdentity, signal: AbortSignal | undefined): Promise<void> {
  const age = Date.now() - Number(BigInt(mtimeNs) / 1_000_000n);
  if (age >= 0 && age < SETTLE_MS) await sleep(SETTLE_MS - age, undefined, signal && { signal });
}

/** By what a folder is recognised now; undefined when a file of it is missing or has another size. @throws ParleyError FILE_MISSING */
export async function findFolder(
  path: string,
  layout: FolderLayout,
  options: WalkOptions = {},
): Promise<{ identity: FileIdentity; placed: readonly PlacedFile[] } | undefined> {
  const placed = await findFiles(path, layout, options);
  return placed && { identity: folderIdentity(layout, placed), placed };
}

export interface FolderSourceOptions {
  readonly path: string;
  readonly layout: FolderLayout;
  readonly identity: FileIdentity;
  readonly plan: Plan;
}

/** A promised folder, open for serving, as `Source` is for a file. */
export class FolderSource {
  readonly plan: Plan;
  readonly path: string;
  readonly #files: FolderFiles;
  #state: 'open' | 'gone' | 'closed' = 'open';

  private constructor({ path, plan }: FolderSourceOptions, files: FolderFiles) {
    this.path = path;
    this.plan = plan;
    this.#files = files;
  }

  /** @throws ParleyError CHUNK_GONE when a file of it is missing or not the promised one any more */
  static async open(options: FolderSourceOptions): Promise<FolderSource> {
    const { path, layout, identity } = options;
    const found = await findFolder(path, layout).catch((error: unknown) => {
      throw gone(path, 0, error);
    });
    if (found === undefined || !sameIdentity(found.identity, identity)) throw gone(path, 0);
    return new FolderSource(options, new FolderFiles(path, layout, found.placed));
  }

  /**
   * Reads block `block`, or `count` of them, into `target` from `targetOffset` on and returns how many bytes these are: those of the
   * promised folder.
   * @throws ParleyError CHUNK_GONE when a file changed or the source is closed; RangeError when `target` is too short
   */
  async read(block: number, target: Uint8Array, targetOffset = 0, count = 1): Promise<number> {
    const { chunk } = blockPlace(this.plan, block);
    const { offset, length } = bytesOfBlocks(this.plan, { first: block, count });
    if (target.length - targetOffset < length) throw new RangeError(`block ${block} needs ${length} bytes of room`);
    if (this.#state !== 'open') throw gone(this.path, chunk);
    try {
      const read = await readFully(this.#files, target, targetOffset, length, offset);
      if (read === length) return length;
    } catch (error) {
      this.#state = 'gone';
      throw gone(this.path, chunk, error);
    }
    this.#state = 'gone';
    throw gone(this.path, chunk);
  }

  /** True until a change was found or the source was closed. */
  get usable(): boolean {
    return this.#state === 'open';
  }

  /** Serves no more; files are closed after the reads under way. May be called again. */
  close(): Promise<void> {
    this.#state = 'closed';
    this.#files.close();
    return Promise.resolve();
  }
}

function gone(path: string, chunk: number, cause?: unknown): ParleyError {
  return new ParleyError('CHUNK_GONE', { file: basename(path), chunk }, { cause });
}
