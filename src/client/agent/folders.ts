/** What the agent's commands need to know of folders. */
import { stat } from 'node:fs/promises';
import { buildFolderManifest, findFolder, prepareFolder } from '../../chunks/folder.js';
import type { BuiltFolder } from '../../chunks/folder.js';
import type { FolderLayout } from '../../chunks/folderlayout.js';
import { unreadable } from '../../chunks/fserrors.js';
import { sameIdentity } from '../../chunks/files.js';
import { ParleyError } from '../../protocol/errors.js';
import type { Library } from './library.js';
import type { Registered } from './manifests.js';

/** @throws ParleyError FILE_MISSING */
export async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** How much is in a folder. */
export function countsOf({ files, folders }: FolderLayout): { files: number; folders: number } {
  return { files: files.length, folders: folders.length };
}

/** Whether the folder at `path` is known to be the registered one, from an earlier look at its bytes. */
export async function isKnownFolder(path: string, { manifest }: Registered, library: Library): Promise<boolean> {
  const known = library.at(path);
  if (known?.kind !== 'whole' || known.record.root !== manifest.root || !known.share.usable) return false;
  const layout = await library.layoutOf(manifest.root);
  const found = layout && (await findFolder(path, layout).catch(() => undefined));
  return found !== undefined && sameIdentity(found.identity, known.record.state.identity);
}

/** The folder at `path`, hashed, when it may be the registered one; undefined when it cannot be. */
export async function hashIfAlike(
  path: string,
  { chunks, manifest }: Registered,
  signal: AbortSignal,
): Promise<BuiltFolder | undefined> {
  try {
    const { layout } = await prepareFolder(path, { signal });
    if (layout.sizeBytes !== manifest.sizeBytes || layout.index.length !== manifest.indexBytes) return undefined;
    return await buildFolderManifest(path, chunks, { signal });
  } catch (thrown) {
    // What cannot be shared is not what was registered.
    if (thrown instanceof ParleyError && (thrown.code === 'BAD_NAME' || thrown.code === 'FILE_MISSING'))
      return undefined;
    throw thrown;
  }
}
