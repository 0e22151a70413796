/** Whether what was offered before is still there, and still the same. */
import { lstat } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileIdentity, sameIdentity } from '../../chunks/files.js';
import { findFolder, FolderSource, rebuildFolderManifest } from '../../chunks/folder.js';
import { buildManifest } from '../../chunks/manifest.js';
import { openPart } from '../../chunks/part.js';
import type { Part } from '../../chunks/part.js';
import { partPaths } from '../../chunks/partfiles.js';
import { planChunks } from '../../chunks/plan.js';
import type { Plan } from '../../chunks/plan.js';
import { openSource } from '../../chunks/source.js';
import type { Clock } from '../../protocol/clock.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { FolderIndexes } from './folderindexes.js';
import { fetchManifest } from './manifests.js';
import type { Session } from './session.js';
import type { ShareRecord, WholeRecord } from './shareindex.js';
import type { ShareStores } from './sharestores.js';
import { WholeShare } from './wholeshare.js';
import type { ServedSource } from './wholeshare.js';

/**
 * The record of a whole file as it is true now (the same object when nothing changed); undefined when it is another file.
 * @throws ParleyError when it cannot be told: the file keeps changing, the disk is full
 */
export async function stillThere(
  record: WholeRecord,
  stores: ShareStores,
  signal: AbortSignal,
): Promise<WholeRecord | undefined> {
  const { digests } = stores;
  if (record.indexBytes !== undefined) return folderStillThere(record, stores, signal);
  const { path, root, chunks, sizeBytes, state } = record;
  const identity = await fileIdentity(path).catch(missing);
  if (identity?.sizeBytes !== sizeBytes) return undefined;
  const isSame = sameIdentity(identity, state.identity);
  if (isSame && (await digests.isGood(root, planChunks(sizeBytes, chunks)))) return record;
  const built = await buildManifest(path, chunks, { signal });
  if (built.manifest.root !== root) return undefined;
  await digests.put(root, built.blockDigests);
  return { ...record, state: { ...state, identity: built.identity } };
}

async function folderStillThere(
  record: WholeRecord,
  { digests, indexes }: ShareStores,
  signal: AbortSignal,
): Promise<WholeRecord | undefined> {
  const { path, root, chunks, sizeBytes, state } = record;
  const layout = await indexes.read(root);
  const found = layout && (await findFolder(path, layout, { signal }).catch(missing));
  if (layout === undefined || found === undefined) return undefined;
  const isSame = sameIdentity(found.identity, state.identity);
  if (isSame && (await digests.isGood(root, planChunks(sizeBytes, chunks), record.indexBytes))) return record;
  const built = await rebuildFolderManifest(path, layout, chunks, { signal }).catch(missing);
  if (built?.manifest.root !== root) return undefined;
  await digests.put(root, built.blockDigests);
  return { ...record, state: { ...state, identity: built.identity } };
}

function missing(thrown: unknown): undefined {
  if (toParleyError(thrown).code !== 'FILE_MISSING') throw thrown;
}

/** Whether what is shared looks as it did, at a glance: of a folder only that it is there, for its files are looked at when they are read. */
export async function looksTheSame({ path, indexBytes, state }: WholeRecord): Promise<boolean> {
  if (indexBytes !== undefined) return (await lstat(path).catch(() => undefined))?.isDirectory() === true;
  const now = await fileIdentity(path).catch(() => undefined);
  return now !== undefined && sameIdentity(now, state.identity);
}

/** What is held whole as a share; `onSuspect` as in WholeShareOptions. */
export function wholeShare(
  record: WholeRecord,
  { digests, indexes }: ShareStores,
  clock: Clock,
  onSuspect: () => Promise<void>,
): WholeShare {
  const { file, root, sizeBytes, chunks } = record;
  const plan = planChunks(sizeBytes, chunks);
  return new WholeShare({ file, root, plan, open: () => openWhole(record, plan, indexes), digests, clock, onSuspect });
}

/** @throws ParleyError CHUNK_GONE */
async function openWhole(
  { path, root, state, indexBytes }: WholeRecord,
  plan: Plan,
  indexes: FolderIndexes,
): Promise<ServedSource> {
  const { identity } = state;
  if (indexBytes === undefined) return openSource({ path, identity, plan });
  const layout = await indexes.read(root);
  if (layout === undefined) throw new ParleyError('CHUNK_GONE', { file: basename(path), chunk: 0 });
  return FolderSource.open({ path, layout, identity, plan });
}

/**
 * The `.part` of an earlier run, opened again; undefined when it is there no more, or for a file that is registered no more.
 * @throws ParleyError TARGET_BUSY, DISK_FULL; what the session throws
 */
export async function reopenPart(
  { path, file, root }: ShareRecord,
  session: Pick<Session, 'call'>,
  indexes: FolderIndexes,
  signal: AbortSignal,
): Promise<Part | undefined> {
  const there = await lstat(partPaths(path).part).catch(() => undefined);
  if (there === undefined) return undefined;
  const registered = await fetchManifest(session, file, signal).catch((thrown: unknown) => {
    if (toParleyError(thrown).code === 'FILE_NOT_REGISTERED') return undefined;
    throw thrown;
  });
  if (registered?.manifest.root !== root) return undefined;
  const { manifest } = registered;
  const layout = manifest.indexBytes === undefined ? undefined : await indexes.read(root);
  // The next download of it fetches the index again, and goes on.
  if (manifest.indexBytes !== layout?.index.length) return undefined;
  return openPart({ target: path, manifest, layout, signal });
}
