/** Whether what was offered before is still there, and still the same. */
import { lstat } from 'node:fs/promises';
import { buildManifest } from '../../chunks/manifest.js';
import { openPart } from '../../chunks/part.js';
import type { Part } from '../../chunks/part.js';
import { partPaths } from '../../chunks/partfiles.js';
import { planChunks } from '../../chunks/plan.js';
import { quickCheck } from '../../chunks/source.js';
import { toParleyError } from '../../protocol/errors.js';
import type { DigestStore } from './digeststore.js';
import { fetchManifest } from './manifests.js';
import type { Session } from './session.js';
import type { ShareRecord, WholeRecord } from './shareindex.js';

/**
 * The record of a whole file as it is true now (the same object when nothing changed); undefined when it is another file.
 * @throws ParleyError when it cannot be told: the file keeps changing, the disk is full
 */
export async function stillThere(
  record: WholeRecord,
  digests: DigestStore,
  signal: AbortSignal,
): Promise<WholeRecord | undefined> {
  const { path, root, chunks, sizeBytes } = record;
  const check = await quickCheck(path, record.state, { signal });
  if (check.state === 'changed' || check.state === 'missing') return undefined;
  const known = check.state !== 'unsure' && (await digests.isGood(root, planChunks(sizeBytes, chunks)));
  if (known && check.state === 'unchanged') return record;
  if (known && check.state === 'touched') {
    return { ...record, state: { ...record.state, identity: check.identity } };
  }
  const built = await buildManifest(path, chunks, { signal });
  if (built.manifest.root !== root) return undefined;
  await digests.put(root, built.blockDigests);
  return { ...record, state: { ...record.state, identity: built.identity } };
}

/**
 * The `.part` of an earlier run, opened again; undefined when it is there no more, or for a file that is registered no more.
 * @throws ParleyError TARGET_BUSY, DISK_FULL; what the session throws
 */
export async function reopenPart(
  { path, file, root }: ShareRecord,
  session: Pick<Session, 'call'>,
  signal: AbortSignal,
): Promise<Part | undefined> {
  const there = await lstat(partPaths(path).part).catch(() => undefined);
  if (there === undefined) return undefined;
  const registered = await fetchManifest(session, file, signal).catch((thrown: unknown) => {
    if (toParleyError(thrown).code === 'FILE_NOT_REGISTERED') return undefined;
    throw thrown;
  });
  if (registered?.manifest.root !== root) return undefined;
  return openPart({ target: path, manifest: registered.manifest, signal });
}
