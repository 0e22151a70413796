/**
 * The index of a shared folder: the first bytes of what is shared, before the files themselves. Lines of text, one for each folder and
 * file, in one order and spelling only, so that the same folder has the same root wherever it is registered.
 */
import { ParleyError } from '../protocol/errors.js';
import {
  MAX_FILE_BYTES,
  MAX_FOLDER_DEPTH,
  MAX_FOLDER_ENTRIES,
  MAX_FOLDER_PATH_BYTES,
  MAX_INDEX_BYTES,
} from '../protocol/limits.js';
import { parseFileName, printable } from '../protocol/values.js';

/** A folder or file inside a shared folder. */
export interface FolderEntry {
  readonly kind: 'folder' | 'file' | 'executable';
  /** Names joined by `/`; each is a FileName. */
  readonly path: string;
  /** 0 for a folder. */
  readonly sizeBytes: number;
}

const HEADER = 'parley-folder 1';
/** `d path`, `f size path`, `x size path`. */
const LINE = /^(?:(d)|([fx]) (0|[1-9][0-9]{0,15})) ([^]+)$/;

/**
 * The index of these entries, which may come in any order.
 * @throws ParleyError BAD_NAME naming the path that cannot be shared
 */
export function encodeFolderIndex(entries: readonly FolderEntry[]): Buffer {
  const paths = new Paths();
  const lines = sorted(entries).map(({ kind, path, sizeBytes }) => {
    paths.add(path, kind === 'folder');
    return kind === 'folder' ? `d ${path}\n` : `${kind === 'file' ? 'f' : 'x'} ${sizeBytes} ${path}\n`;
  });
  const index = Buffer.from(`${HEADER}\n${lines.join('')}`);
  if (index.length > MAX_INDEX_BYTES) {
    throw new ParleyError('BAD_NAME', {
      name: 'the folder',
      reason: `its list of files has more than ${MAX_INDEX_BYTES} bytes; share parts of it`,
    });
  }
  return index;
}

/**
 * The entries of an index that came from elsewhere, in its order: a folder before what is in it. Every path can be created below a
 * folder on every platform, and none stands for another.
 * @throws ParleyError BAD_FOLDER_INDEX when it is not exactly what `encodeFolderIndex` makes
 */
export function parseFolderIndex(index: Uint8Array): FolderEntry[] {
  const lines = linesOf(index);
  if (lines[0] !== HEADER) refuse('it does not begin as one');
  const paths = new Paths();
  const entries: FolderEntry[] = [];
  let sizeBytes = index.length;
  let before: Buffer | undefined;
  for (let at = 1; at < lines.length; at++) {
    const [, isFolder, kind, size = '0', path = ''] =
      LINE.exec(lines[at] ?? '') ?? refuse(`line ${at + 1} is none of its kinds`);
    const bytes = Buffer.from(path);
    if (before !== undefined && Buffer.compare(before, bytes) >= 0) refuse(`line ${at + 1} is out of order`);
    before = bytes;
    try {
      paths.add(path, isFolder !== undefined);
    } catch (cause) {
      refuse(cause instanceof ParleyError ? cause.message : 'a path is bad', cause);
    }
    sizeBytes += Number(size);
    if (sizeBytes > MAX_FILE_BYTES) refuse('its files are too large');
    entries.push({ kind: isFolder ? 'folder' : kind === 'f' ? 'file' : 'executable', path, sizeBytes: Number(size) });
  }
  return entries;
}

function linesOf(index: Uint8Array): string[] {
  if (index.length > MAX_INDEX_BYTES) refuse(`it has more than ${MAX_INDEX_BYTES} bytes`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(index);
  } catch (cause) {
    return refuse('it is not UTF-8', cause);
  }
  if (!text.endsWith('\n')) refuse('it ends within a line');
  const lines = text.split('\n', MAX_FOLDER_ENTRIES + 3);
  if (lines.length > MAX_FOLDER_ENTRIES + 2) refuse(`it has more than ${MAX_FOLDER_ENTRIES} entries`);
  return lines.slice(0, -1);
}

function refuse(reason: string, cause?: unknown): never {
  throw new ParleyError('BAD_FOLDER_INDEX', { reason }, { cause });
}

/** In the order of an index: by the UTF-8 bytes of their paths, so that a folder stands before what is in it. */
export function sorted<T extends Pick<FolderEntry, 'path'>>(entries: readonly T[]): T[] {
  return entries
    .map((entry) => ({ entry, bytes: Buffer.from(entry.path) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ entry }) => entry);
}

/** Paths that may stand in one index. */
class Paths {
  readonly #folders = new Set<string>();
  /** What a disk that does not tell the case of letters may take for the same. */
  readonly #seen = new Set<string>();

  /** @throws ParleyError BAD_NAME */
  add(path: string, isFolder: boolean): void {
    const refuseName = (reason: string): never => {
      throw new ParleyError('BAD_NAME', { name: printable(path), reason });
    };
    if (this.#seen.size >= MAX_FOLDER_ENTRIES)
      refuseName(`the folder has more than ${MAX_FOLDER_ENTRIES} entries; share parts of it`);
    if (Buffer.byteLength(path) > MAX_FOLDER_PATH_BYTES)
      refuseName(`the path is longer than ${MAX_FOLDER_PATH_BYTES} bytes; shorten it`);
    const cut = path.lastIndexOf('/');
    const name = path.slice(cut + 1);
    // The names before it were checked when their folder was.
    if (cut >= 0 && !this.#folders.has(path.slice(0, cut))) refuseName('its folder does not stand before it');
    try {
      if (parseFileName(name) !== name) refuseName('it is not in Unicode NFC');
    } catch (cause) {
      // By its path: there may be many of that name.
      throw cause instanceof ParleyError
        ? new ParleyError(cause.code, { ...cause.details, name: printable(path) })
        : cause;
    }
    if (path.split('/').length > MAX_FOLDER_DEPTH)
      refuseName(`it is more than ${MAX_FOLDER_DEPTH} folders deep; share parts of it`);
    const key = path.toUpperCase().toLowerCase().normalize('NFC');
    if (this.#seen.has(key))
      refuseName('another name differs only in case, which many disks take for the same; rename one');
    this.#seen.add(key);
    if (isFolder) this.#folders.add(path);
  }
}
