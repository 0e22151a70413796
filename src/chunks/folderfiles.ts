/** The files of a promised folder, read for hashing and serving: each is looked at around each read, and none that changed is given. */
import { constants, fstatSync, lstatSync, open as openCallback, openSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eachOf } from './each.js';
import { blake3 } from './digest.js';
import { identityOf, noFollow, nonBlocking, sameIdentity } from './files.js';
import type { FileIdentity, Readable } from './files.js';
import type { FolderFile, FolderLayout, Segment } from './folderlayout.js';
import { segmentsOf } from './folderlayout.js';
import { walkFolder } from './folderwalk.js';
import type { FoundEntry, WalkOptions } from './folderwalk.js';
import { errnoOf } from './fserrors.js';
import { OpenFiles } from './openfiles.js';
import type { OpenFile } from './openfiles.js';
import { Pace } from './pace.js';

const openFd = promisify(openCallback);

/** Files that stay open while nobody reads them: those of the blocks that are read next. */
const KEPT_OPEN = 16;
/** Files read at once for one block. */
const READ_AT_ONCE = 4;
const LOOKED_AT_AT_ONCE = 8;
const FLAGS = constants.O_RDONLY | noFollow() | nonBlocking();
const NOT_ASCII = /[\x80-\xff]/;
/** How long it may take to notice that a path leads to another file; the open one still has the promised bytes. */
const PATH_CHECK_MS = 100;

/** A file of a folder, where it is on this disk and what it was when it was looked at. */
export interface PlacedFile {
  readonly localPath: string;
  readonly identity: FileIdentity;
}

/** Thrown by `read` when a file is not what it was. */
export class FileChanged extends Error {
  readonly path: string;

  constructor(path: string, cause?: unknown) {
    super(`${path} changed`, { cause });
    this.path = path;
  }
}

/**
 * What was found on disk, in the order of the files of `layout`; undefined when one is missing or has another size. What was found
 * besides does not matter.
 */
export function placeFiles(layout: FolderLayout, found: readonly FoundEntry[]): PlacedFile[] | undefined {
  const byPath = new Map<string, FoundEntry>();
  for (const entry of found) {
    // Two spellings of one name: nobody can tell which was meant.
    if (byPath.has(entry.path)) return undefined;
    byPath.set(entry.path, entry);
  }
  if (layout.folders.some(({ path }) => byPath.get(path)?.kind !== 'folder')) return undefined;
  const placed: PlacedFile[] = [];
  for (const { path, sizeBytes } of layout.files) {
    const entry = byPath.get(path);
    if (entry === undefined || entry.kind === 'folder' || entry.sizeBytes !== sizeBytes) return undefined;
    placed.push({ localPath: entry.localPath, identity: entry.identity });
  }
  return placed;
}

/**
 * The files of `layout` in the folder at `root`; undefined when one is missing or has another size.
 * @throws ParleyError FILE_MISSING
 */
export async function findFiles(
  root: string,
  layout: FolderLayout,
  options: WalkOptions = {},
): Promise<PlacedFile[] | undefined> {
  const found: FoundEntry[] = [];
  const pace = new Pace();
  try {
    await eachOf(layout.entries, LOOKED_AT_AT_ONCE, async (entry) => {
      options.signal?.throwIfAborted();
      const path = join(root, entry.path);
      const stats = await pace.run(
        () => lstatSync(path, { bigint: true }),
        () => lstat(path, { bigint: true }),
      );
      const kind = stats.isDirectory() ? 'folder' : 'file';
      if (!stats.isDirectory() && !stats.isFile()) return;
      const identity = identityOf(stats);
      found.push({ kind, path: entry.path, localPath: entry.path, sizeBytes: identity.sizeBytes, identity });
    });
    return placeFiles(layout, found);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    // Spelled in another way on this disk, perhaps.
    if (!NOT_ASCII.test(layout.index.toString('latin1'))) return undefined;
    return placeFiles(layout, (await walkFolder(root, options)).entries);
  }
}

/** The identity of a folder: that of all its files in one. `ino` is a digest of theirs, `mtimeNs` the time of the newest. */
export function folderIdentity(layout: FolderLayout, files: readonly Pick<PlacedFile, 'identity'>[]): FileIdentity {
  let newest = 0n;
  const lines = files.map(({ identity: { sizeBytes, mtimeNs, ino } }) => {
    const changed = BigInt(mtimeNs);
    if (changed > newest) newest = changed;
    return `${sizeBytes} ${mtimeNs} ${ino}\n`;
  });
  const digest = blake3(Buffer.from(lines.join('')));
  return { sizeBytes: layout.sizeBytes, mtimeNs: String(newest), ino: digest.toString('hex') };
}

/** Reads the folder as the run of bytes that is shared. */
export class FolderFiles implements Readable {
  readonly #root: string;
  readonly #layout: FolderLayout;
  readonly #placed: readonly PlacedFile[];
  readonly #open: OpenFiles;
  readonly #pace = new Pace();

  constructor(root: string, layout: FolderLayout, placed: readonly PlacedFile[]) {
    this.#root = root;
    this.#layout = layout;
    this.#placed = placed;
    this.#open = new OpenFiles(KEPT_OPEN);
  }

  /** @throws FileChanged when a file is missing or not what it was, before or during the read */
  async read(target: Uint8Array, start: number, length: number, position: number): Promise<{ bytesRead: number }> {
    const segments = segmentsOf(this.#layout, position, length);
    await eachOf(segments, READ_AT_ONCE, async (segment) => {
      const at = start + segment.start;
      if (segment.file === undefined) this.#layout.index.copy(target, at, segment.at, segment.at + segment.length);
      else await this.#readFile(segment.file, segment, target, at);
    });
    return { bytesRead: segments.reduce((sum, segment) => sum + segment.length, 0) };
  }

  /** Closes what is not being read; the rest when it was. */
  close(): void {
    this.#open.close();
  }

  async #readFile({ number }: FolderFile, { at, length }: Segment, target: Uint8Array, start: number): Promise<void> {
    const path = this.#path(number);
    const identity = this.#placed[number]?.identity;
    let file: OpenFile | undefined;
    try {
      file = this.#open.take(number) ?? this.#open.takeOpened(number, await this.#openFile(path));
      if (performance.now() - file.checkedAt > PATH_CHECK_MS) {
        await this.#checkPath(path, identity);
        file.checkedAt = performance.now();
      }
      for (let done = 0; done < length;) {
        const bytesRead = await this.#pace.read(file.fd, target, start + done, length - done, at + done);
        if (bytesRead === 0) throw new FileChanged(path);
        done += bytesRead;
      }
      const now = identityOf(fstatSync(file.fd, { bigint: true }));
      if (identity === undefined || !sameIdentity(now, identity)) throw new FileChanged(path);
    } catch (error) {
      throw error instanceof FileChanged ? error : new FileChanged(path, error);
    } finally {
      if (file !== undefined) this.#open.give(file);
    }
  }

  #openFile(path: string): Promise<number> {
    return this.#pace.run(
      () => openSync(path, FLAGS),
      () => openFd(path, FLAGS, 0),
    );
  }

  async #checkPath(path: string, identity: FileIdentity | undefined): Promise<void> {
    const now = identityOf(await lstat(path, { bigint: true }));
    if (identity === undefined || !sameIdentity(now, identity)) throw new FileChanged(path);
  }

  #path(number: number): string {
    return join(this.#root, this.#placed[number]?.localPath ?? '');
  }
}
