/** What a download is asked for, and whether it is there already. */
import { lstat, stat } from 'node:fs/promises';
import { BitSet } from '../../chunks/bits.js';
import { fileIdentity, sameIdentity } from '../../chunks/files.js';
import { errnoOf, unwritable } from '../../chunks/fserrors.js';
import { buildManifest } from '../../chunks/manifest.js';
import { ParleyError } from '../../protocol/errors.js';
import type { ParamsOf } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import { hashIfAlike, isKnownFolder } from './folders.js';
import type { Library } from './library.js';
import type { Registered } from './manifests.js';

type Request = ParamsOf<typeof agentCommands.download>;

/**
 * Whether the target has the registered bytes already; it is offered then.
 * @throws ParleyError TARGET_EXISTS when something else is there; DISK_FULL (with a reason) when that may never be replaced, DISK_FULL when nothing can ever be there
 */
export async function isThere(
  path: string,
  registered: Registered,
  { library, overwrite, signal }: { library: Library; overwrite: boolean; signal: AbortSignal },
): Promise<boolean> {
  const { file, chunks, manifest } = registered;
  const there = await lstat(path).catch((error: unknown) => {
    // Else a name that is too long would be found to be so when all has come.
    if (errnoOf(error) !== 'ENOENT') throw unwritable(path, error);
    return undefined;
  });
  if (there === undefined) return false;
  if (!there.isFile() && !there.isDirectory() && !there.isSymbolicLink()) {
    // As root a device would be replaced for everybody.
    throw new ParleyError('DISK_FULL', { path, reason: 'it is neither a file nor a folder, and is never replaced' });
  }
  const stats = await stat(path).catch(() => undefined);
  if (manifest.indexBytes !== undefined) {
    if (await isKnownFolder(path, registered, library)) return true;
    const built = stats?.isDirectory() === true ? await hashIfAlike(path, registered, signal) : undefined;
    if (built?.manifest.root === manifest.root) {
      await library.addWhole({ file, chunks, path, ...built, root: manifest.root });
      await library.announce(file);
      return true;
    }
  } else if (stats?.isFile() === true && stats.size === manifest.sizeBytes) {
    const known = library.at(path);
    if (known?.kind === 'whole' && known.record.root === manifest.root && known.share.usable) {
      if (sameIdentity(await fileIdentity(path), known.record.state.identity)) return true;
    }
    const built = await buildManifest(path, chunks, { signal });
    if (built.manifest.root === manifest.root) {
      await library.addWhole({ file, chunks, path, ...built, root: manifest.root });
      await library.announce(file);
      return true;
    }
  }
  if (!overwrite || (stats?.isDirectory() === true && manifest.indexBytes === undefined))
    throw new ParleyError('TARGET_EXISTS', { path });
  return false;
}

/** The chunks asked for. @throws ParleyError CHUNK_NOT_FOUND */
export function wantedChunks({ chunks }: Pick<Request, 'chunks'>, { file, chunks: count }: Registered): BitSet {
  if (chunks === undefined || chunks.length === 0) return BitSet.full(count);
  const last = count - 1;
  const beyond = chunks.find((index) => index > last);
  if (beyond !== undefined) throw new ParleyError('CHUNK_NOT_FOUND', { file, last, index: beyond });
  return BitSet.from(chunks, count);
}
