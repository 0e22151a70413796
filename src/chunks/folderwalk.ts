/** What is in a folder on disk: looked at, not read. Symbolic links are not followed. */
import { lstat, readdir, stat } from 'node:fs/promises';
import { lstatSync } from 'node:fs';
import type { Dirent } from 'node:fs';
import { join } from 'node:path';
import { ParleyError } from '../protocol/errors.js';
import { MAX_FOLDER_DEPTH, MAX_FOLDER_ENTRIES } from '../protocol/limits.js';
import { printable } from '../protocol/values.js';
import { eachOf } from './each.js';
import { identityOf } from './files.js';
import type { FileIdentity } from './files.js';
import type { FolderEntry } from './folderindex.js';
import { unreadable } from './fserrors.js';
import { Pace } from './pace.js';

/** What is in a folder and is not shared: a path in it, and why. */
export interface Skipped {
  readonly path: string;
  readonly kind: 'symbolic link' | 'socket' | 'pipe' | 'device' | 'state of this program';
}

export interface FoundEntry extends FolderEntry {
  /** As it is spelled on this disk, which may not be NFC. */
  readonly localPath: string;
  readonly identity: FileIdentity;
}

export interface Walked {
  readonly entries: readonly FoundEntry[];
  readonly skipped: readonly Skipped[];
}

export interface WalkOptions {
  readonly signal?: AbortSignal | undefined;
  /** A folder that is never shared, wherever it is met: the home of the agent with its keys. */
  readonly avoid?: string | undefined;
}

/** Files looked at at once: as many as the thread pool has threads, and some to go on with. */
const LOOKED_AT_AT_ONCE = 8;
/** What stands in a name for bytes that are not UTF-8, and may stand in one by itself. */
const NOT_UTF8 = '\ufffd';
/** The owner may execute it. */
const EXECUTABLE = 0o100n;

/**
 * Looks at everything in the folder at `path`.
 * @throws ParleyError FILE_MISSING (with a reason), BAD_NAME when it has too much in it
 */
export async function walkFolder(path: string, options: WalkOptions = {}): Promise<Walked> {
  const avoided =
    options.avoid === undefined ? undefined : await stat(options.avoid, { bigint: true }).catch(() => undefined);
  const entries: FoundEntry[] = [];
  const skipped: Skipped[] = [];
  const folders = [{ path: '', localPath: '' }];
  const pace = new Pace();
  if (avoided !== undefined) {
    const own = await stat(path, { bigint: true }).catch(() => undefined);
    if (own?.ino === avoided.ino && own.dev === avoided.dev) {
      throw new ParleyError('FILE_MISSING', {
        path,
        reason: 'it holds the keys of this program, which are not for others',
      });
    }
  }
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const { path: above, localPath: localAbove } = folder;
    const found = await list(join(path, localAbove));
    await eachOf(found, LOOKED_AT_AT_ONCE, async (dirent) => {
      options.signal?.throwIfAborted();
      const localPath = join(localAbove, dirent.name);
      if (dirent.name.includes(NOT_UTF8)) await refuseOtherBytes(join(path, localAbove), dirent.name, localPath);
      const entry = { path: joined(above, dirent.name.normalize('NFC')), localPath };
      const kind = skippedKind(dirent);
      if (kind !== undefined) {
        skipped.push({ path: entry.path, kind });
        return;
      }
      const at = join(path, localPath);
      const look = pace.run(
        () => lstatSync(at, { bigint: true }),
        () => lstat(at, { bigint: true }),
      );
      const stats = await look.catch((error: unknown) => {
        throw unreadable(at, error);
      });
      const identity = identityOf(stats);
      if (stats.isDirectory()) {
        if (avoided?.ino === stats.ino && avoided.dev === stats.dev) {
          skipped.push({ path: entry.path, kind: 'state of this program' });
          return;
        }
        entries.push({ ...entry, kind: 'folder', sizeBytes: 0, identity });
        folders.push(entry);
      } else if (stats.isFile()) {
        const runs = (stats.mode & EXECUTABLE) !== 0n;
        entries.push({ ...entry, kind: runs ? 'executable' : 'file', sizeBytes: identity.sizeBytes, identity });
      } else
        throw new ParleyError('FILE_MISSING', {
          path: at,
          reason: 'it changed while it was looked at',
        });
    });
    checkSize(entries.length + skipped.length, folders);
  }
  return { entries, skipped: skipped.sort((a, b) => (a.path < b.path ? -1 : 1)) };
}

/** Before memory is: a loop of mounts never ends. */
function checkSize(entries: number, folders: readonly { path: string }[]): void {
  const refuse = (reason: string): never => {
    throw new ParleyError('BAD_NAME', { name: 'the folder', reason });
  };
  if (entries > MAX_FOLDER_ENTRIES) refuse(`it has more than ${MAX_FOLDER_ENTRIES} entries; share parts of it`);
  const deep = folders.find((folder) => folder.path.split('/').length > MAX_FOLDER_DEPTH);
  if (deep !== undefined) refuse(`${deep.path} is more than ${MAX_FOLDER_DEPTH} folders deep; share parts of it`);
}

async function list(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Such a name cannot be opened by what was read of it, and not be created elsewhere. @throws ParleyError BAD_NAME */
async function refuseOtherBytes(folder: string, name: string, localPath: string): Promise<void> {
  const names = await readdir(folder, { encoding: 'buffer' });
  if (names.some((bytes) => bytes.equals(Buffer.from(name)))) return;
  throw new ParleyError('BAD_NAME', { name: printable(localPath), reason: 'it is not UTF-8; rename it' });
}

function skippedKind(dirent: Dirent): Skipped['kind'] | undefined {
  if (dirent.isSymbolicLink()) return 'symbolic link';
  if (dirent.isSocket()) return 'socket';
  if (dirent.isFIFO()) return 'pipe';
  if (dirent.isBlockDevice() || dirent.isCharacterDevice()) return 'device';
  return undefined;
}

function joined(above: string, name: string): string {
  return above === '' ? name : `${above}/${name}`;
}
