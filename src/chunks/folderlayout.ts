/** Where the files of a shared folder stand in what is shared: the index first, then each file's bytes in the order of the index. */
import { parseFolderIndex } from './folderindex.js';
import type { FolderEntry } from './folderindex.js';

export interface FolderLayout {
  readonly index: Buffer;
  /** In the order of the index. */
  readonly entries: readonly FolderEntry[];
  readonly folders: readonly FolderEntry[];
  /** Files, in the order of their bytes. */
  readonly files: readonly FolderFile[];
  /** Bytes of index and files. */
  readonly sizeBytes: number;
}

export interface FolderFile extends FolderEntry {
  /** Its number among the files. */
  readonly number: number;
  /** Where its bytes begin in what is shared. */
  readonly offset: number;
}

/** Bytes that lie in one file (or the index: `file` undefined): those from `at` on, at `start` of what was asked for. */
export interface Segment {
  readonly file: FolderFile | undefined;
  readonly at: number;
  readonly start: number;
  readonly length: number;
}

/** @throws ParleyError BAD_FOLDER_INDEX */
export function layoutOf(index: Buffer): FolderLayout {
  const entries = parseFolderIndex(index);
  const folders: FolderEntry[] = [];
  const files: FolderFile[] = [];
  let offset = index.length;
  for (const entry of entries) {
    if (entry.kind === 'folder') folders.push(entry);
    else {
      files.push({ ...entry, number: files.length, offset });
      offset += entry.sizeBytes;
    }
  }
  return { index, entries, folders, files, sizeBytes: offset };
}

/** The pieces of bytes `position` to `position + length`, in order; none is empty. */
export function segmentsOf({ index, files }: FolderLayout, position: number, length: number): Segment[] {
  const segments: Segment[] = [];
  const end = position + length;
  const take = (file: FolderFile | undefined, offset: number, sizeBytes: number): void => {
    const from = Math.max(position, offset);
    const until = Math.min(end, offset + sizeBytes);
    if (until > from) segments.push({ file, at: from - offset, start: from - position, length: until - from });
  };
  take(undefined, 0, index.length);
  for (let number = lastBefore(files, position); number < files.length; number++) {
    const file = files[number];
    if (file === undefined || file.offset >= end) break;
    take(file, file.offset, file.sizeBytes);
  }
  return segments;
}

/** The last file that begins at or before `position`; the first one when there is none. */
function lastBefore(files: readonly FolderFile[], position: number): number {
  let [low, high] = [0, files.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((files[middle]?.offset ?? Infinity) <= position) low = middle;
    else high = middle;
  }
  return low;
}
